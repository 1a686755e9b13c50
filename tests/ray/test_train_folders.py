"""A training as a Ray Train job: folders as checkpoints, several workers, several jobs at once."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from rlpersona.errors import DataError, ReplicaError
from rlpersona.runtime.train import train_folders
from rlpersona.training import FolderCheckpoints


def growing(
    checkpoints: FolderCheckpoints, folder: Path, die_at: int | None = None
) -> tuple[list[int], int, str]:
    """Write the numbers 0 to 4 into files, a checkpoint each; the first worker to reach `die_at` dies.

    Returns the numbers that the checkpoint held, the process, and torch's name for how many work.
    """
    mine, dead = folder / f"work-{os.getpid()}", folder / "died"
    checkpoints.load(mine)
    mine.mkdir(exist_ok=True)
    found = sorted(int(file.name) for file in mine.iterdir())
    for number in range(len(found), 5):
        if number == die_at and not dead.exists():
            dead.write_text("")
            os.kill(os.getpid(), signal.SIGKILL)
        (mine / str(number)).write_text("x" * number)
        checkpoints.save(mine, {"number": number})
    return found, os.getpid(), os.environ.get("WORLD_SIZE", "")


def test_a_killed_worker_gets_its_last_folder_back_and_a_finished_job_too(tmp_path: Path) -> None:
    storage = tmp_path / "checkpoints" / "sft"
    found, process, world = train_folders(partial(growing, folder=tmp_path, die_at=3), storage)
    # The last saves may not have been registered when the worker died.
    assert found in ([0], [0, 1], [0, 1, 2])
    assert process != os.getpid()
    assert world == "", "one worker is no process group"

    again, _, _ = train_folders(partial(growing, folder=tmp_path), storage)
    assert again == [0, 1, 2, 3, 4]


def summed(checkpoints: FolderCheckpoints, folder: Path) -> float:
    """The sum of all ranks plus one, by torch.distributed; each worker adds a file to the checkpoint."""
    import torch
    import torch.distributed as dist

    rank = dist.get_rank()
    total = torch.tensor([rank + 1.0])
    dist.all_reduce(total)
    mine = folder / f"rank-{rank}"
    mine.mkdir()
    (mine / f"state_{rank}").write_text(str(rank))
    checkpoints.save(mine, {"total": total.item()})
    return float(total)


def test_several_workers_work_together_and_share_a_checkpoint(tmp_path: Path) -> None:
    storage = tmp_path / "checkpoints" / "dpo"
    assert train_folders(partial(summed, folder=tmp_path), storage, workers=2) == 3
    (checkpoint,) = storage.glob("checkpoint_2*")
    assert {file.name for file in checkpoint.glob("state_*")} == {"state_0", "state_1"}


def meeting(checkpoints: FolderCheckpoints, folder: Path, name: str, other: str) -> str:
    """Wait until the other job has begun: it ends only if both run at the same time."""
    import time

    (folder / name).write_text("")
    until = time.monotonic() + 120
    while not (folder / other).exists():
        assert time.monotonic() < until, "the other job never began"
        time.sleep(0.05)
    checkpoints.save(folder, {})
    return name


def test_two_jobs_of_one_driver_run_at_the_same_time(tmp_path: Path) -> None:
    def job(name: str, other: str) -> str:
        meet = partial(meeting, folder=tmp_path / "shared", name=name, other=other)
        return train_folders(meet, tmp_path / "checkpoints" / name)

    (tmp_path / "shared").mkdir()
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(job, "ab", "ba")) == ["a", "b"]
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"a", "b"}


def test_a_users_error_comes_home_from_a_thread_and_is_not_tried_again(tmp_path: Path) -> None:
    def bad(checkpoints: FolderCheckpoints) -> None:
        with (tmp_path / "tries").open("a") as file:
            file.write("x")
        raise DataError("row 3 is torn", "Mend it.")

    with ThreadPoolExecutor(1) as threads, pytest.raises(DataError, match="row 3 is torn") as caught:
        threads.submit(train_folders, bad, tmp_path / "checkpoints").result()
    assert caught.value.hint == "Mend it."
    assert (tmp_path / "tries").read_text() == "x"


def test_deaths_beyond_the_limit_and_workers_without_room_are_said(tmp_path: Path) -> None:
    def doomed(checkpoints: FolderCheckpoints) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ReplicaError, match="training worker 0 died, and 1 deaths are allowed"):
        train_folders(doomed, tmp_path / "checkpoints", max_failures=1)
    with pytest.raises(ReplicaError, match="3 training workers with 1 CPU each do not fit: Ray has 2"):
        train_folders(doomed, tmp_path / "other", workers=3)
