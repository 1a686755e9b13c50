"""Rows that are appended, torn, replaced; and what of a row is a number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rlpersona.experiments.tracking.rows import RowTail, scalars, series_of, step_of
from rlpersona.store import METRICS, Run

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.floats()),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def test_a_row_of_a_search_becomes_its_numbers() -> None:
    row = {
        "round": 3,
        "reward": 0.5,
        "top": "Ada",
        "entropy": float("nan"),
        "leaders": [{"persona": "Ada", "mean": 0.9}],
        "transfer": {"arc": {"top": 0.25, "control": None}},
    }
    assert dict(scalars(row)) == {"reward": 0.5, "transfer/arc/top": 0.25}
    assert step_of(row) == 3
    assert step_of({"step": 7, "loss": 1.0}) == 7


@given(st.dictionaries(st.text(max_size=5), values, max_size=6))
def test_whatever_a_row_holds_only_finite_numbers_come_of_it(row: dict[str, Any]) -> None:
    for name, value in scalars(row):
        assert isinstance(name, str)
        assert value - value == 0


def test_appended_rows_come_once_and_half_a_line_waits(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    tail = RowTail(path)
    assert tail.read() is None
    path.write_text('{"step": 1}\n{"st')
    found = tail.read()
    assert found is not None
    assert (found.rows, found.anew, found.fresh) == ([{"step": 1}], True, 1)
    assert tail.read() is None
    with path.open("a") as file:
        file.write('ep": 2}\n')
    found = tail.read()
    assert found is not None
    assert (found.rows, found.anew, found.fresh) == ([{"step": 2}], False, 1)


def test_a_training_that_goes_on_is_read_anew_and_only_what_it_did_is_fresh(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in range(1, 6):
        run.append_metrics({"step": step, "loss": step / 7})
    tail = RowTail(tmp_path / METRICS)
    tail.read()
    kept = [row for row in run.metrics() if row["step"] <= 3]
    run.write_text(METRICS, "".join(json.dumps(row) + "\n" for row in kept))
    run.append_metrics({"step": 4, "loss": 0.0})
    found = tail.read()
    assert found is not None
    assert [row["step"] for row in found.rows] == [1, 2, 3, 4]
    assert (found.anew, found.fresh) == (True, 1)


def test_the_parts_of_a_run_are_found_and_nothing_else(tmp_path: Path) -> None:
    for folder in ("", "conditions/ab12", "stages/sft-rlhf", "tune/ab12"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / METRICS).touch()
    (tmp_path / "conditions/empty").mkdir()
    found = series_of(tmp_path)
    assert found == {
        "": tmp_path,
        "conditions/ab12": tmp_path / "conditions/ab12",
        "stages/sft-rlhf": tmp_path / "stages/sft-rlhf",
    }
