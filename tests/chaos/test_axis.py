"""SIGKILL in the middle of a role: the run that goes on ends in the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import rlpersona, wait_until

SETTINGS = [
    "nano",
    "only=Pinocchio,a poet,a soldier",
    "question_limit=30",
    "prompts_per_role=1",
    "least=10",
    "traits=none",
    # A part is one prompt, so that a role takes a while.
    "model.chunk=1",
]


def files(folder: Path, name: str) -> dict[Path, bytes]:
    """Every whole file of that name below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob(name)}


def test_killed_in_a_role_the_run_ends_in_the_same_vectors(tmp_path: Path) -> None:
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    killed.mkdir()
    log = (tmp_path / "log.txt").open("w")
    command = [sys.executable, "-m", "rlpersona.cli", "axis", *SETTINGS, "--runs", str(killed)]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    wait_until(lambda: bool(files(killed, "responses.parquet")) or process.poll() is not None, 400)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    said = files(killed / "axis", "responses.parquet")
    assert 0 < len(said) < 4, (tmp_path / "log.txt").read_text()

    for root, flags in ((killed, ["--resume"]), (calm, [])):
        done = rlpersona("axis", *SETTINGS, *flags, "--runs", str(root))
        assert done.returncode == 0, done.stderr
    again = files(killed / "axis", "responses.parquet")
    assert all(again[path] == content for path, content in said.items())
    made = ("vectors.safetensors", "summary.json", "pca.parquet")
    of_roles = ("responses.parquet", "activations.safetensors", "ratings.parquet")
    for name, count in (*((name, 1) for name in made), *zip(of_roles, (4, 4, 3), strict=True)):
        assert files(killed / "axis", name) == files(calm / "axis", name)
        assert len(files(calm / "axis", name)) == count
