"""A loop as a Ray Train job: it survives its worker and its driver, and its errors come home."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from rlpersona.errors import DataError
from rlpersona.runtime.train import Checkpoints, train_job


def counting(checkpoints: Checkpoints, folder: Path, die_at: int | None) -> tuple[int, int]:
    """Count to six, a checkpoint each; the first worker kills itself at `die_at`. (start, end)"""
    state = checkpoints.load() or {"count": 0}
    start = state["count"]
    dead = folder / "died"
    for count in range(start, 6):
        if count == die_at and not dead.exists():
            dead.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        checkpoints.save({"count": count + 1}, {"count": count + 1})
    return start, 6


def test_a_killed_worker_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    start, end = train_job(lambda c: counting(c, tmp_path, die_at=4), tmp_path / "checkpoints")
    assert end == 6
    # The last save may not have been registered when the worker died; all before it were.
    assert start in (3, 4)


def test_the_same_storage_goes_on_where_a_dead_driver_stopped(tmp_path: Path) -> None:
    def begin(checkpoints: Checkpoints) -> None:
        checkpoints.save({"count": 2}, {"count": 2})

    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train_job(begin, tmp_path / "checkpoints")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers
    assert train_job(lambda c: counting(c, tmp_path, die_at=None), tmp_path / "checkpoints") == (2, 6)


def test_a_users_error_ends_the_job_at_once_and_comes_home_as_itself(tmp_path: Path) -> None:
    def bad(checkpoints: Checkpoints) -> None:
        with (tmp_path / "tries").open("a") as file:
            file.write("x")
        raise DataError("row 3 is torn", "Mend it.")

    with pytest.raises(DataError, match="row 3 is torn") as caught:
        train_job(bad, tmp_path / "checkpoints")
    assert caught.value.hint == "Mend it."
    assert (tmp_path / "tries").read_text() == "x"
