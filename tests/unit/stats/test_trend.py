"""The permutation trend test and slopes by seed: counted by hand, by scipy, and in null worlds."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from rlpersona.errors import DataError
from rlpersona.stats.trend import permutation_trend, seed_slopes

DOSES = np.array([0, 0.1, 0.3, 0.5, 1.0])


def by_hand(values: np.ndarray, doses: np.ndarray, seeds: np.ndarray) -> float:
    """Every arrangement of every seed, one after another."""
    blocks = [(doses[seeds == s] - doses[seeds == s].mean(), values[seeds == s]) for s in set(seeds)]
    observed = abs(sum(d @ y for d, y in blocks))
    each = [[d @ np.array(order) for order in permutations(y)] for d, y in blocks]
    totals = np.array([sum(one) for one in product(*each)])
    return float(np.mean(np.abs(totals) >= observed - 1e-12))


@pytest.mark.parametrize("seed", range(4))
def test_p_is_the_share_of_all_arrangements(seed: int) -> None:
    rng = np.random.default_rng(seed)
    doses, seeds = np.tile([0, 0.2, 0.5, 1.0], 2), np.repeat([7, 9], 4)
    values = rng.normal(size=8) + doses * seed + seeds
    found = permutation_trend(values, doses, list(seeds))
    assert found.exact
    assert found.p_value == pytest.approx(by_hand(values, doses, seeds), abs=1e-12)


def test_one_seed_is_pearsons_permutation_test() -> None:
    rng = np.random.default_rng(3)
    doses, values = np.arange(6.0), rng.normal(size=6) + 0.4 * np.arange(6)
    theirs = stats.permutation_test(
        (values,),
        lambda y: stats.pearsonr(y, doses).statistic,
        permutation_type="pairings",
        vectorized=False,
        n_resamples=np.inf,
        alternative="two-sided",
    )
    ours = permutation_trend(values, doses, [1] * 6)
    # scipy doubles the smaller tail; ours counts both. One tail is the same in both.
    centred = doses - doses.mean()
    all_slopes = np.array([centred @ np.array(order) for order in permutations(values)])
    one_tail = np.mean(all_slopes >= centred @ values - 1e-12)
    assert theirs.pvalue == pytest.approx(min(1, 2 * one_tail))
    assert ours.p_value == pytest.approx(
        one_tail + np.mean(all_slopes <= -(centred @ values) + 1e-12), abs=1e-12
    )


def test_a_clean_trend_has_the_smallest_p_that_there_is() -> None:
    doses, seeds = np.tile(DOSES, 3), list(np.repeat([42, 123, 456], 5))
    found = permutation_trend(2 * doses + np.repeat([0, 5, 9], 5), doses, seeds)
    assert found.slope == pytest.approx(2)
    assert found.p_value == pytest.approx(found.smallest) == pytest.approx(1 / 120**3)
    # Two doses of three seeds: eight arrangements, two of which are as extreme.
    two = permutation_trend([0, 1] * 3, [0, 1] * 3, [1, 1, 2, 2, 3, 3])
    assert two.p_value == two.smallest == 0.25


def test_drawn_arrangements_agree_with_all_of_them() -> None:
    rng = np.random.default_rng(1)
    doses, seeds = np.tile(np.arange(9.0), 2), list(np.repeat([1, 2], 9))  # 9!: drawn
    values = rng.normal(size=18) + 0.12 * doses
    drawn = permutation_trend(values, doses, seeds, resamples=20_000)
    assert not drawn.exact
    # The normal approximation of the same permutation distribution.
    spread = sum(np.var(values[k : k + 9], ddof=1) * ((doses[k : k + 9] - 4) ** 2).sum() for k in (0, 9))
    observed = sum((doses[k : k + 9] - 4) @ values[k : k + 9] for k in (0, 9))
    assert drawn.p_value == pytest.approx(2 * stats.norm.sf(abs(observed) / spread**0.5), abs=0.01)
    assert drawn.p_value == permutation_trend(values, doses, seeds, resamples=20_000).p_value


def test_without_any_effect_p_is_uniform_though_seeds_differ() -> None:
    rng = np.random.default_rng(0)
    doses, seeds = np.tile(DOSES, 3), list(np.repeat([1, 2, 3], 5))
    ps = [
        permutation_trend(rng.normal(size=15) + np.repeat(rng.normal(0, 9, 3), 5), doses, seeds).p_value
        for _ in range(600)
    ]
    assert stats.kstest(ps, "uniform").pvalue > 0.01
    assert np.mean(np.array(ps) < 0.05) < 0.08


def test_slopes_are_those_of_a_regression_and_the_interval_that_of_their_mean() -> None:
    rng = np.random.default_rng(5)
    doses, seeds = np.tile(DOSES, 3), np.repeat([1, 2, 3], 5)
    values = rng.normal(size=15) + 3 * doses
    found = seed_slopes(values, doses, list(seeds), level=0.9)
    slopes = [stats.linregress(DOSES, values[seeds == s]).slope for s in (1, 2, 3)]
    assert list(found.slopes.values()) == pytest.approx(slopes)
    theirs = stats.ttest_1samp(slopes, 0)
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.interval is not None
    ends = theirs.confidence_interval(0.9)
    assert (found.interval.low, found.interval.high) == pytest.approx((ends.low, ends.high))


def test_intervals_over_seeds_cover() -> None:
    rng = np.random.default_rng(2)
    doses, seeds = np.tile(DOSES, 3), list(np.repeat([1, 2, 3], 5))
    hits = 0
    for _ in range(1000):
        of_seed = np.repeat(rng.normal(4, 2, 3), 5)  # slopes themselves differ by seed
        found = seed_slopes(rng.normal(size=15) + of_seed * doses, doses, seeds)
        assert found.interval is not None
        hits += found.interval.contains(4)
    assert 0.93 < hits / 1000 < 0.97


def test_what_was_not_measured_is_left_out() -> None:
    doses, seeds = np.tile(DOSES, 2), list(np.repeat([1, 2], 5))
    values = 2 * doses
    values[3] = np.nan
    found = permutation_trend(values, doses, seeds)
    assert (found.runs, found.slope) == (9, pytest.approx(2))
    with pytest.raises(DataError, match="two doses"):
        permutation_trend([1.0, np.nan], [0, 1], [1, 1])
    with pytest.raises(DataError, match="two doses"):
        seed_slopes([1.0, 2.0], [0, 1], [1, 2])
    assert seed_slopes([1.0, 2.0], [0, 1], [1, 1]).interval is None


def test_equal_values_are_no_trend() -> None:
    found = permutation_trend([0.1 + 0.2, 0.3, 0.3], [0, 0.5, 1], [1, 1, 1])
    assert (found.slope, found.p_value) == (0, 1)
