"""A training that is killed and resumed has each step in its log once."""

from __future__ import annotations

from pathlib import Path

from rlpersona.experiments.dose.step_log import StepLog
from rlpersona.store import Run


def test_steps_after_the_checkpoint_are_logged_anew(tmp_path: Path) -> None:
    first = StepLog(tmp_path)
    for step in range(5):
        first({"step": step, "loss": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # killed in the middle of a line
    resumed = StepLog(tmp_path)
    for step in (3, 4, 5):
        resumed({"step": step, "loss": 2.0})
    rows = Run(tmp_path).metrics()
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4, 5]
    assert [row["loss"] for row in rows] == [1, 1, 1, 2, 2, 2]


def test_a_new_training_begins_an_empty_log(tmp_path: Path) -> None:
    StepLog(tmp_path)({"step": 9})
    StepLog(tmp_path)({"step": 0})
    assert Run(tmp_path).metrics() == [{"step": 0}]
