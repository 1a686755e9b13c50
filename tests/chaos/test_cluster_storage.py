"""A machine that dies while its run is copied to S3; another one goes on from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from rlpersona.storage import Place, open_place
from tests.processes import send, tree
from tests.s3_server import s3_server
from tests.support import wait_until

SETTINGS = [
    "bandit",
    "quickstart",
    "name=far",
    "rounds=60",
    "questions_per_round=64",
    "checkpoint_every=3",
    "validation.questions=20",
    "bystanders=4",
]


def start(folder: Path, runs: str, scratch: Path, *flags: str) -> psutil.Popen:
    """`rlpersona bandit` on a machine whose own disk is `scratch`."""
    command = [sys.executable, "-m", "rlpersona.cli", *SETTINGS, *flags, "--runs", runs]
    with (folder / f"{scratch.name}.log").open("a") as log:
        return psutil.Popen(
            command,
            env={**os.environ, "RLPERSONA_SCRATCH": str(scratch)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def rounds(place: Place) -> list[int]:
    """The last rounds of the parts of events that stand at the URI."""
    names = [name for name in place.files() if name.startswith("events/")]
    return [int(Path(name).stem.split("-")[1]) for name in names]


def test_a_run_goes_on_where_another_machine_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with s3_server() as endpoint:
        query = f"?scheme=http&endpoint_override={endpoint}"
        uri, place = f"s3://bucket/runs{query}", open_place(f"s3://bucket/runs/far{query}")
        first = start(tmp_path, uri, tmp_path / "first")
        wait_until(lambda: bool(rounds(place)) or first.poll() is not None, 400)
        assert first.poll() is None, (tmp_path / "first.log").read_text()
        parts = tree(first)
        send(parts, signal.SIGKILL)
        psutil.wait_procs(parts, timeout=120)
        copied = max(rounds(place))
        assert place.read("summary.json") is None, "killed too late to show anything"

        second = start(tmp_path, uri, tmp_path / "second", "--resume")
        calm = start(tmp_path, str(tmp_path / "calm"), tmp_path / "calm-scratch")
        assert second.wait(600) == 0, (tmp_path / "second.log").read_text()
        assert "waiting 30 s for a sign of life" in (tmp_path / "second.log").read_text()
        for name in place.files():
            place.fetch(name, tmp_path / "there" / "far" / name)
    assert calm.wait(600) == 0, (tmp_path / "calm-scratch.log").read_text()
    ours, theirs = tmp_path / "there" / "far", tmp_path / "calm" / "far"
    assert copied >= 3
    for name in ("events", "personas", "validation"):
        pd.testing.assert_frame_equal(
            *(pd.read_parquet(folder / f"{name}.parquet") for folder in (ours, theirs)), check_exact=True
        )
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (ours, theirs)]
    assert {**summaries[0], "seconds": 0} == {**summaries[1], "seconds": 0}
    assert "<html" in (ours / "report.html").read_text()
