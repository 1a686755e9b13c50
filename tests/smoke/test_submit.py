"""`ray job submit` of jobs/bandit.py on a head of our own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import ROOT, wait_until

RAY = str(Path(sys.executable).with_name("ray"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def head(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray head on 127.0.0.1 with a token of its own; the environment that reaches it."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef0123456789abcdef")
    token.chmod(0o600)
    # What other tests told their own Ray must not reach this one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**clean, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    port, dashboard = free_port(), free_port()
    command = [RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
    command += [f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1", "--num-cpus=2"]
    # The default port is taken where another Ray runs, and without its agent a head takes no jobs.
    command += [f"--dashboard-agent-listen-port={free_port()}"]
    # Sockets live in there, and their paths may have 107 bytes.
    short = tempfile.mkdtemp(prefix="ray")
    command += [f"--temp-dir={short}", "--disable-usage-stats"]
    log = (tmp_path / "head.log").open("w")
    process = psutil.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{dashboard}"
    try:
        wait_until(lambda: reachable(dashboard) or process.poll() is not None, 60)
        assert process.poll() is None, (tmp_path / "head.log").read_text()
        yield {**environment, "RAY_API_SERVER_ADDRESS": address}
    finally:
        parts = [*process.children(recursive=True), process]
        for part in parts:
            part.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(parts, timeout=5)
        for part in alive:
            part.kill()
        shutil.rmtree(short, ignore_errors=True)


def reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def submit(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`ray job submit`, again while the head's agent is still starting."""
    command = [RAY, "job", "submit", "--working-dir", str(ROOT), "--", sys.executable, *words]
    end = time.monotonic() + 60
    while True:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        if "No available agent" not in done.stderr + done.stdout or time.monotonic() > end:
            return done
        time.sleep(1)


def test_a_submitted_job_leaves_the_same_run_as_the_command(
    head: dict[str, str], tmp_path: Path
) -> None:
    settings = ["quickstart", "rounds=6", "validation.questions=40", f"--runs={tmp_path / 'runs'}"]
    done = submit(["jobs/bandit.py", *settings, "name=submitted"], head)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report.html" in done.stdout
    summary = json.loads((tmp_path / "runs" / "submitted" / "summary.json").read_text())
    assert summary["rounds"] == 6
    assert summary["winners"]
