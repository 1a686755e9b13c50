"""Who leads in training, and the line that luck alone reaches."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlpersona.report import leaderboard
from rlpersona.report.data import read_run
from tests.unit.report.run_folders import make_full_run, make_run

OLD = pd.DataFrame(
    {
        "name": ["A", "B", "C", "D"],
        "group": pd.array([None, "x", None, None], dtype="string"),
        "field": None,
        "era": ["now", None, "then", None],
        "pulls": [1, 3, 1, 0],
        "evaluations": [10, 30, 5, 0],
        "reward": [0.2, 0.6, math.nan, math.nan],
        "probability": [0.1, 0.6, 0.1, 0.2],
    }
)


def drawn(axes: Any, label: str) -> list[list[float]]:
    return [list(line.get_xdata()) for line in axes.get_lines() if line.get_label() == label]


def verticals(axes: Any) -> list[float]:
    return [line.get_xdata()[0] for line in axes.get_lines() if list(line.get_ydata()) == [0, 1]]


def test_an_older_table_reads_and_the_unasked_are_left_out() -> None:
    rows = leaderboard.standings(OLD)
    assert [row.persona for row in rows] == ["B", "A", "C"]
    assert [row.kinds for row in rows] == [{"group": "x"}, {"era": "now"}, {"era": "then"}]
    assert (rows[0].mean.estimate, rows[0].mean.low, rows[0].mean.n) == (0.6, None, 30)
    assert rows[2].mean.estimate is None
    assert (rows[0].shrunk, rows[0].wins) == (None, None)


def test_the_mean_of_the_search_counts_evaluations() -> None:
    assert leaderboard.training_mean(OLD) == pytest.approx((10 * 0.2 + 30 * 0.6) / 40)
    assert leaderboard.training_mean(OLD.iloc[3:]) is None


def test_the_weighted_mean_is_right_where_a_policy_drops_the_unlucky() -> None:
    draw = np.random.default_rng(11)
    first = draw.binomial(5, 0.6, size=4000)  # all equal; the lucky half is asked 45 times more
    lucky = first >= 3
    rest = np.where(lucky, draw.binomial(45, 0.6, size=4000), 0)
    counts = np.where(lucky, 50, 5)
    table = pd.DataFrame({"evaluations": counts, "reward": (first + rest) / counts})
    assert leaderboard.training_mean(table) == pytest.approx(0.6, abs=0.004)
    assert table["reward"].mean() < 0.58


def test_the_board_is_drawn_where_the_table_says(tmp_path: Path) -> None:
    run = read_run(make_full_run(tmp_path / "run"))
    rows = leaderboard.standings(run.personas, limit=5)
    assert [row.wins for row in rows] == [12] * 5
    assert leaderboard.tally(rows[0]) == "12 / 8 / 20"
    (axes,) = leaderboard.leaderboard(rows, 0.6, 0.075).axes
    assert drawn(axes, "estimate") == [pytest.approx([100 * row.mean.estimate]) for row in rows]
    assert drawn(axes, "interval") == [
        pytest.approx([100 * row.mean.low, 100 * row.mean.high]) for row in rows
    ]
    assert drawn(axes, "shrunken") == [pytest.approx([100 * row.shrunk]) for row in rows]
    assert verticals(axes) == pytest.approx([60.0, 67.5])


def test_no_null_line_without_a_null_maximum_and_none_beyond_all_right(tmp_path: Path) -> None:
    rows = leaderboard.standings(read_run(make_run(tmp_path / "run")).personas, limit=2)
    assert verticals(leaderboard.leaderboard(rows, 0.6, None).axes[0]) == pytest.approx([60.0])
    assert verticals(leaderboard.leaderboard(rows, 0.95, 0.1).axes[0]) == pytest.approx([95.0, 100.0])
    assert verticals(leaderboard.leaderboard(rows, None, 0.1).axes[0]) == []
