"""Trials on a real Ray Tune: processes used again, failures tried again and told, room kept."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from rlpersona.errors import DataError, ReplicaError
from rlpersona.runtime.sweep import room, run_trials
from rlpersona.runtime.train import train_folders


def noting(folder: Path) -> Callable[[str], None]:
    """Work that notes name and process; it fails, or dies, where its name says so."""

    def work(name: str) -> None:
        with (folder / "notes").open("a") as file:
            file.write(f"{name} {os.getpid()}\n")
        tries = [line.split()[0] for line in (folder / "notes").read_text().splitlines()].count(name)
        if name == "torn" or (name == "torn-once" and tries == 1):
            raise DataError("row 3 is torn", "Mend it.")
        if name == "dies" or (name == "dies-once" and tries == 1):
            os.kill(os.getpid(), signal.SIGKILL)

    return work


def notes(folder: Path) -> list[tuple[str, int]]:
    lines = (folder / "notes").read_text().splitlines()
    return [(line.split()[0], int(line.split()[1])) for line in lines]


def test_each_name_is_worked_once_in_processes_that_serve_several(tmp_path: Path) -> None:
    names = [f"n{k}" for k in range(8)]
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert run_trials(noting(tmp_path), names, tmp_path / "tune", at_once=2) == dict.fromkeys(names)
    assert sorted(name for name, _ in notes(tmp_path)) == names
    processes = {pid for _, pid in notes(tmp_path)}
    assert len(processes) <= 3, "a process a trial would pay its start each time"
    assert os.getpid() not in processes
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_failures_are_tried_again_then_told_and_others_go_on(tmp_path: Path) -> None:
    names = ["a", "torn", "dies", "torn-once", "dies-once", "b"]
    found = run_trials(noting(tmp_path), names, tmp_path / "tune", at_once=2, retries=1)
    assert found == dict.fromkeys(names) | {
        "torn": "row 3 is torn",
        "dies": "its process died",
    }
    tries = Counter(name for name, _ in notes(tmp_path))
    assert tries == {"a": 1, "b": 1, "torn": 2, "dies": 2, "torn-once": 2, "dies-once": 2}


def test_the_same_storage_tries_what_failed_again_and_nothing_else(tmp_path: Path) -> None:
    names = ["a", "torn-once", "b"]
    first = run_trials(noting(tmp_path), names, tmp_path / "tune")
    assert first["torn-once"] == "row 3 is torn"
    again = run_trials(noting(tmp_path), names, tmp_path / "tune")
    assert again == dict.fromkeys(names)
    assert Counter(name for name, _ in notes(tmp_path)) == {"a": 1, "b": 1, "torn-once": 2}

    for state in (tmp_path / "tune").glob("experiment_state-*"):
        state.unlink()
    assert run_trials(noting(tmp_path), names, tmp_path / "tune") == again, "as if killed at its start"


def test_a_training_that_fits_nowhere_is_refused_before_it_starts(tmp_path: Path) -> None:
    with pytest.raises(ReplicaError):
        run_trials(noting(tmp_path), ["a"], tmp_path / "tune", cpus=3)
    with pytest.raises(ReplicaError):
        run_trials(noting(tmp_path), ["a"], tmp_path / "tune", workers=2, gpus=1)
    assert not (tmp_path / "notes").exists()
    assert run_trials(noting(tmp_path), [], tmp_path / "tune") == {}


def test_trials_that_nest_never_hold_half_of_the_room_each(tmp_path: Path) -> None:
    """Two trials of two workers on two CPUs: one after the other, else both would wait for ever."""
    assert room(workers=2, cpus=0.5, gpus=0) == 2
    assert room(workers=2, cpus=9, gpus=0) == 1

    def work(name: str) -> None:
        rank = train_folders(lambda _: os.environ["WORLD_SIZE"], tmp_path / name, workers=2)
        (tmp_path / f"{name}.txt").write_text(rank)

    found = run_trials(work, ["a", "b"], tmp_path / "tune", at_once=2, workers=2)
    assert found == {"a": None, "b": None}
    assert [(tmp_path / f"{name}.txt").read_text() for name in "ab"] == ["2", "2"]
