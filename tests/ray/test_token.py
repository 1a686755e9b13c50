"""A Ray that is started here wants a token, and nobody else can read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError
from rlpersona.runtime.session import lock_token, token_path

SCRIPT = """
import os
os.umask(0o022)
from rlpersona.runtime.session import ray_session, token_path
with ray_session(cpus=1):
    import requests
    import ray
    base = "http://" + ray._private.worker._global_node.webui_url
    token = token_path().read_text()
    for given in (None, "0" * len(token), token):
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        reply = requests.get(base + "/api/jobs/", headers=headers, timeout=60)
        print(reply.status_code, end=" ")
"""


@pytest.fixture(scope="module")
def ray_cluster() -> None:
    """Not the local Ray of the other files here: one with another home."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_client_without_the_token_is_refused(home: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=clean,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["401", "403", "200"]
    assert (home / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


def test_a_token_that_is_there_is_kept_and_closed_to_others(home: Path) -> None:
    lock_token()
    made = token_path().read_text()
    assert len(made) == 64
    token_path().chmod(0o644)
    lock_token()
    assert token_path().read_text() == made
    assert token_path().stat().st_mode & 0o777 == 0o600
    assert [path.name for path in token_path().parent.iterdir()] == ["auth_token"]


def test_nothing_is_made_where_the_environment_says_otherwise(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 32)
    lock_token()
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    lock_token()
    assert not any(home.iterdir())


def test_a_place_that_cannot_be_written_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(home / "file" / "token"))
    with pytest.raises(ConfigError, match="cannot be made private") as caught:
        lock_token()
    assert "RAY_AUTH_TOKEN_PATH" in caught.value.hint
