from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlpersona.errors import ConfigError, DataError
from rlpersona.stats import (
    Interval,
    bounded_interval,
    clopper_pearson,
    t_interval,
    unseen_share,
    wilson,
)

# Newcombe (1998), Statistics in Medicine 17:857, table I: methods 3 (score) and 5 (exact).
NEWCOMBE = [
    (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
    (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
    (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
    (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
]


@pytest.mark.parametrize(("successes", "n", "score", "exact"), NEWCOMBE)
def test_published_values(
    successes: int, n: int, score: tuple[float, float], exact: tuple[float, float]
) -> None:
    for interval, (low, high) in ((wilson(successes, n), score), (clopper_pearson(successes, n), exact)):
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5.1e-5)
        assert (interval.estimate, interval.n, interval.level) == (successes / n, n, 0.95)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.floats(0, 1), st.floats(0.5, 0.999))
def test_exact_ends_are_where_the_tails_are_half_of_the_rest(n: int, share: float, level: float) -> None:
    successes = round(share * n)
    interval = clopper_pearson(successes, n, level)
    tail = (1 - level) / 2
    if successes:
        assert stats.binom.sf(successes - 1, n, interval.low) == pytest.approx(tail, abs=1e-6)
    if successes < n:
        assert stats.binom.cdf(successes, n, interval.high) == pytest.approx(tail, abs=1e-6)
    score = wilson(successes, n, level)
    assert 0 <= score.low <= successes / n <= score.high <= 1
    z = stats.norm.ppf(0.5 + level / 2)
    for end in (score.low, score.high):
        # Wilson's ends solve (p_hat - p)^2 = z^2 p (1 - p) / n.
        assert (successes / n - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-9)


def test_t_interval_by_hand() -> None:
    interval = t_interval([1.0, 2.0, 3.0, 4.0, float("nan")])
    reach = 3.182446 * np.sqrt(5 / 3) / 2  # t[3] at .975
    assert (interval.low, interval.high) == pytest.approx((2.5 - reach, 2.5 + reach), rel=1e-6)
    assert interval.n == 4
    assert t_interval([0.3] * 7) == Interval(0.3, 0.3, 0.3, 7)


def test_what_is_mostly_equal_may_hide_what_is_rare() -> None:
    found = bounded_interval([0.2] * 7)
    q = unseen_share(7, 0.95)
    assert (1 - q) ** 7 == pytest.approx(0.025)
    assert (found.low, found.high) == pytest.approx((0.2 - q * 0.2, 0.2 + q * 0.8))
    wide = bounded_interval([0.2] * 7, least=-1)
    assert (wide.low, wide.high) == pytest.approx((0.2 - q * 1.2, 0.2 + q * 0.8))
    nearly = bounded_interval([0.2] * 6 + [0.21])
    assert nearly.high > 0.2 + q * 0.79
    spread = [0.1, 0.4, 0.4, 0.9]
    assert bounded_interval(spread) == t_interval(spread)


def test_t_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    hits = [t_interval(rng.normal(2, 5, 6), 0.8).contains(2.0) for _ in range(2000)]
    assert np.mean(hits) == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 2000))


@pytest.mark.parametrize("call", [wilson, clopper_pearson])
@pytest.mark.parametrize(("successes", "n"), [(1, 0), (-1, 5), (6, 5), (2.5, 5)])
def test_shares_that_are_none(call: Any, successes: float, n: int) -> None:
    with pytest.raises(DataError):
        call(successes, n)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, float("nan")], [1.0, float("inf")], [[1.0, 2.0]]])
def test_means_without_a_spread(values: Any) -> None:
    with pytest.raises(DataError):
        t_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95, float("nan")])
def test_levels(level: float) -> None:
    for call in (lambda: wilson(1, 2, level), lambda: t_interval([1, 2], level)):
        with pytest.raises(ConfigError, match="level="):
            call()
