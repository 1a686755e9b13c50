"""SIGKILL in the middle of a role, while it answers and while it is read: the same bytes in the end."""

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


def kill_when(root: Path, name: str, words: list[str]) -> dict[Path, bytes]:
    """Start, wait for the first whole file of that name, kill; the files of that name then."""
    command = [sys.executable, "-m", "rlpersona.cli", "axis", *words, "--runs", str(root)]
    log = (root / "log.txt").open("a")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    wait_until(lambda: bool(files(root, name)) or process.poll() is not None, 180)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = files(root / "axis", name)
    assert 0 < len(kept) < 4, (root / "log.txt").read_text()
    return kept


def test_killed_twice_the_run_ends_in_the_same_vectors(tmp_path: Path) -> None:
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    killed.mkdir()
    said = kill_when(killed, "responses.parquet", SETTINGS)
    read = kill_when(killed, "activations.safetensors", [*SETTINGS, "--resume"])
    assert not (killed / "axis" / "vectors.safetensors").exists()
    for root, flags in ((killed, ["--resume"]), (calm, [])):
        done = rlpersona("axis", *SETTINGS, *flags, "--runs", str(root))
        assert done.returncode == 0, done.stderr

    for name in ("vectors.safetensors", "responses.parquet", "activations.safetensors"):
        assert files(killed / "axis", name) == files(calm / "axis", name)
    assert len(files(calm / "axis", "ratings.parquet")) == 3
    after = files(killed / "axis", "responses.parquet") | files(
        killed / "axis", "activations.safetensors"
    )
    assert all(after[path] == content for path, content in (said | read).items())
    for name in ("summary.json", "pca.parquet"):
        assert files(killed / "axis", name) == files(calm / "axis", name)
