"""Fixtures for the whole suite."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
from hypothesis import settings

# A shell ignores Ctrl-C for what it starts in the background, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes any example slow now and then.
settings.register_profile("rlpersona", deadline=None)
settings.load_profile("rlpersona")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real benchmark files: beside the checkout, or where RLPERSONA_TEST_DATA points."""
    folder = Path(os.environ.get("RLPERSONA_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real benchmark files are not here: {folder} (set RLPERSONA_TEST_DATA)")
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser. One a file: while it is open, its thread has a running event loop."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
