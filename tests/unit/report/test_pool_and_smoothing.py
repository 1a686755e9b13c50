"""Shares of the policy, and moving means, against hand-computed values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rlpersona.report.pool import composition, kinds_of
from rlpersona.report.smoothing import block_means, moving_mean


def personas(**columns: Any) -> pd.DataFrame:
    size = len(columns["group"])
    base = {
        "field": [None] * size,
        "era": [None] * size,
        "evaluations": 10,
        "reward": 0.5,
        "probability": 0.0,
    }
    return pd.DataFrame(base | columns)


def test_composition_by_hand() -> None:
    table = personas(
        group=["a", "a", "b", None],
        probability=[0.1, 0.2, 0.6, 0.1],
        evaluations=[10, 30, 20, 0],
        reward=[1.0, 0.5, math.nan, math.nan],
    )
    b, a, none = composition(table, "group")
    assert (b.label, b.personas, b.share, b.evaluations, b.reward) == ("b", 1, 0.25, 20, None)
    assert (a.label, a.personas, a.share, a.evaluations) == ("a", 2, 0.5, 40)
    assert (a.mass, b.mass) == pytest.approx((0.3, 0.6))
    assert a.reward == pytest.approx((10 * 1.0 + 30 * 0.5) / 40)
    assert none.label == "not given"


def test_small_kinds_become_one_and_shares_sum_to_one() -> None:
    table = personas(group=[f"g{i}" for i in range(30)], probability=np.arange(30) / 435)
    kinds = composition(table, "group", limit=5)
    assert [kind.label for kind in kinds] == ["g29", "g28", "g27", "g26", "26 others together"]
    assert sum(kind.share for kind in kinds) == pytest.approx(1)
    assert sum(kind.mass or 0 for kind in kinds) == pytest.approx(1)
    assert kinds[-1].personas == 26


def test_without_probabilities_there_is_no_mass() -> None:
    kinds = composition(personas(group=["a", "b", "b"], probability=[math.nan] * 3), "group")
    assert [(kind.label, kind.mass) for kind in kinds] == [("b", None), ("a", None)]


def test_only_columns_that_tell_apart_are_shown() -> None:
    table = personas(group=[None, None], field=["x", "y"], era=["z", None])
    assert kinds_of(table) == ["field", "era"]
    assert kinds_of(personas(group=["a", "a"])) == []


def test_moving_mean_by_hand() -> None:
    smooth = moving_mean(np.array([1.0, 2.0, 6.0, math.nan, 4.0]), 3)
    assert smooth.mean == pytest.approx([3.0, 3.0, 4.0, 5.0, 5.0])
    values = [1.0, 2.0, 6.0, 3.0, 3.0]
    smooth = moving_mean(np.array([*values, math.nan]), 5)
    low, high = stats.t.interval(0.95, 4, loc=3.0, scale=stats.sem(values))
    assert (smooth.low[0], smooth.high[0]) == pytest.approx((low, high))


def test_a_band_needs_five_values_and_keeps_to_what_is_possible() -> None:
    four = moving_mean(np.array([0.0, 1.0, 1.0, 1.0, math.nan]), 5)
    assert np.isnan([four.low, four.high]).all()
    five = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
    free, cut = moving_mean(five, 5), moving_mean(five, 5, within=(0.0, 1.0))
    assert free.high[0] > 1
    assert cut.high == pytest.approx([1.0] * 5)
    assert cut.low == pytest.approx(free.low)


def test_one_value_has_a_mean_but_no_band() -> None:
    smooth = moving_mean(np.array([0.5]), 3)
    assert smooth.mean == pytest.approx([0.5])
    assert np.isnan([smooth.low[0], smooth.high[0]]).all()
    assert np.isnan(moving_mean(np.full(4, math.nan), 3).mean).all()
    assert moving_mean(np.array([]), 3).mean.size == 0


@given(st.lists(st.floats(-10, 10), max_size=40), st.integers(1, 9))
def test_the_mean_lies_within_its_band_and_the_data(values: list[float], window: int) -> None:
    series = np.array(values, dtype=np.float64)
    smooth = moving_mean(series, window)
    assert smooth.mean.shape == series.shape
    if values:
        assert (smooth.mean >= min(values) - 1e-9).all()
        assert (smooth.mean <= max(values) + 1e-9).all()
        assert not (smooth.low > smooth.high).any()


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=200), st.integers(1, 20))
def test_blocks_keep_the_mean(values: list[float], limit: int) -> None:
    series = np.array(values)
    blocks = block_means(series, limit)
    assert blocks.size <= limit or blocks.size == series.size <= limit
    length = series.size if blocks.size == series.size else -(-series.size // limit)
    if blocks.size < series.size and series.size % length == 0:
        assert blocks.mean() == pytest.approx(series.mean(), abs=1e-9)
