from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlpersona.errors import ConfigError, DataError
from rlpersona.stats import detectable_difference, detectable_win_rate, win_rate_power


def test_the_published_sample() -> None:
    """115 prompts need a true win rate of about .64 to be told from one half with chance .84."""
    assert win_rate_power(115, 0.64) == pytest.approx(0.84, abs=0.005)
    assert detectable_win_rate(115, 0.84) == pytest.approx(0.64, abs=0.005)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 60), st.integers(0, 1000).map(lambda k: k / 1000), st.sampled_from([0.9, 0.95, 0.99])
)
def test_power_is_the_chance_of_a_rejection(prompts: int, p: float, level: float) -> None:
    """Added up over all outcomes with scipy's own test deciding each."""
    wins = np.arange(prompts + 1)
    rejected = [stats.binomtest(int(k), prompts, 0.5).pvalue <= 1 - level + 1e-12 for k in wins]
    expected = stats.binom.pmf(wins, prompts, p)[rejected].sum()
    assert win_rate_power(prompts, p, level) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("prompts", [6, 24, 115, 1000])
def test_equal_models_are_rejected_at_most_at_the_level(prompts: int) -> None:
    assert win_rate_power(prompts, 0.5) <= 0.05
    found = detectable_win_rate(prompts)
    assert found is not None
    assert win_rate_power(prompts, found) == pytest.approx(0.8, abs=1e-6)


def test_five_prompts_can_show_nothing() -> None:
    assert win_rate_power(5, 1.0) == 0.0
    assert detectable_win_rate(5) is None
    assert win_rate_power(6, 1.0) == 1.0


def test_more_prompts_see_less() -> None:
    found = [detectable_win_rate(n) for n in (10, 20, 50, 200, 1000)]
    assert all(each is not None for each in found)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("n", [8, 24, 115])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_the_detectable_difference_by_the_noncentral_t(n: int, power: float) -> None:
    values = np.random.default_rng(n).normal(0.1, 0.3, n)
    shift = detectable_difference(values, power) / (values.std(ddof=1) / np.sqrt(n))
    reach = stats.t.ppf(0.975, n - 1)
    missed = stats.nct.cdf(reach, n - 1, shift) - stats.nct.cdf(-reach, n - 1, shift)
    assert 1 - missed == pytest.approx(power, abs=1e-5)


def test_the_detectable_difference_is_detected_as_often_as_said() -> None:
    rng = np.random.default_rng(4)
    shift = detectable_difference(np.sqrt(19 / 20) * np.tile([-1.0, 1.0], 10))  # spread of one
    drawn = rng.normal(shift, 1, (4000, 20))
    found = stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_handful_of_values_is_simulated_too(n: int) -> None:
    values = np.linspace(-1, 1, n)
    shift = detectable_difference(values / values.std(ddof=1))
    drawn = np.random.default_rng(n).normal(shift, 1, (20_000, n))
    assert (stats.ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05).mean() == pytest.approx(0.8, abs=0.01)


def test_it_does_not_hang_on_what_was_observed() -> None:
    values = np.random.default_rng(0).random(30)
    assert detectable_difference(values) == pytest.approx(detectable_difference(values + 5))
    assert detectable_difference([0.5, 0.5, 0.5]) == 0.0


def test_what_cannot_be_planned() -> None:
    with pytest.raises(ConfigError, match="nothing to compare"):
        win_rate_power(0, 0.6)
    with pytest.raises(ConfigError, match=r"p=1\.2"):
        win_rate_power(10, 1.2)
    for power in (0.05, 1.0):
        with pytest.raises(ConfigError, match="power"):
            detectable_win_rate(10, power)
        with pytest.raises(ConfigError, match="power"):
            detectable_difference([1, 2], power)
    with pytest.raises(DataError):
        detectable_difference([1])
