"""TensorBoard files say what `metrics.jsonl` says, each step once, whoever was killed in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rlpersona.experiments.dose.step_log import StepLog
from rlpersona.experiments.tracking.following import tracked
from rlpersona.experiments.tracking.rows import Update
from rlpersona.experiments.tracking.tensorboard import FOLDER, TensorBoard
from rlpersona.store import CONFIG, METRICS, Run
from tests.unit.experiments.tracking.event_files import events, scalars_in

KILLED = """
import os, signal, sys, time
from pathlib import Path
from rlpersona.experiments.dose.step_log import StepLog
from rlpersona.experiments.tracking.following import tracked
from rlpersona.store import Run
folder = Path(sys.argv[1])
with tracked(Run(folder)):
    log = StepLog(folder / "conditions" / "c0ffee")
    for step in range(1, 8):
        log({"step": step, "loss": 1 / step, "math/task": step / 10})
    while not list(folder.glob("conditions/*/tensorboard/*")):
        time.sleep(0.05)
    log({"step": 8, "loss": 9.0, "math/task": 9.0})
    os.kill(os.getpid(), signal.SIGKILL)
"""


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for line in (folder / METRICS).read_text().splitlines():
        row = json.loads(line)
        for name in row.keys() - {"step"}:
            found.setdefault(name, []).append((row["step"], float(np.float32(row[name]))))
    return found


def test_a_killed_and_resumed_training_shows_each_step_once(tmp_path: Path) -> None:
    folder = tmp_path / "conditions" / "c0ffee"
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text("seed: 3\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    first = scalars_in(folder / FOLDER)
    assert [step for step, _ in first.get("loss", [])] == list(range(1, len(first.get("loss", [])) + 1))

    with tracked(Run(tmp_path)):
        log = StepLog(folder)  # goes on at the checkpoint of step 5
        for step in range(6, 11):
            log({"step": step, "loss": 2 / step, "math/task": step / 20})
    found = scalars_in(folder / FOLDER)
    assert found == logged(folder)
    assert [step for step, _ in found["loss"]] == list(range(1, 11))
    assert len([file for file in (folder / FOLDER).iterdir() if file.stat().st_size]) == 1
    values = [value for event in events(folder / FOLDER) for value in event.summary.value]
    assert [list(v.tensor.string_val) for v in values if v.HasField("tensor")] == [[b"    seed: 3"]]


def test_a_worker_that_dies_under_a_living_driver_is_shown_once_too(tmp_path: Path) -> None:
    board, first = TensorBoard(), {"round": 1, "reward": 0.5}
    board.show("", tmp_path, Update([first, {"round": 2, "reward": 0.625}], anew=True, fresh=2))
    board.show("", tmp_path, Update([{"round": 3, "reward": 0.75}], anew=False, fresh=1))
    assert scalars_in(tmp_path / FOLDER)["reward"] == [(1, 0.5), (2, 0.625), (3, 0.75)]
    board.show("", tmp_path, Update([first, {"round": 2, "reward": 0.25}], anew=True, fresh=1))
    board.close(True)
    assert scalars_in(tmp_path / FOLDER)["reward"] == [(1, 0.5), (2, 0.25)]


def test_a_folder_that_cannot_be_written_ends_the_copy_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FOLDER).write_text("in the way")
    with tracked(Run(tmp_path)):
        StepLog(tmp_path)({"step": 1, "loss": 1.0})
    assert "tensorboard shows no more of this run" in caplog.text
    assert Run(tmp_path).metrics() == [{"step": 1, "loss": 1.0}]


def test_tensorboard_itself_reads_the_files_and_drops_what_was_done_again(tmp_path: Path) -> None:
    name = "tensorboard.backend.event_processing.event_accumulator"
    accumulator = pytest.importorskip(name, reason="tensorboard is not installed")
    board = TensorBoard()
    rows = [{"step": step, "loss": step / 4} for step in range(5)]
    board.show("", tmp_path, Update(rows, anew=True, fresh=5))
    read = accumulator.EventAccumulator(str(tmp_path / FOLDER))
    read.Reload()
    assert [(one.step, one.value) for one in read.Scalars("loss")] == [(k, k / 4) for k in range(5)]
    board.show("", tmp_path, Update([*rows[:3], {"step": 3, "loss": 2.0}], anew=True, fresh=1))
    read.Reload()
    now = [(one.step, one.value) for one in read.Scalars("loss")]
    assert now == [(0, 0), (1, 0.25), (2, 0.5), (3, 2)]
