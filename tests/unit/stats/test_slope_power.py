"""The power of a sweep: a textbook's example, simulation, and designs that can show nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from rlpersona.errors import ConfigError
from rlpersona.stats.slope_power import Test, detectable_slope, slope_power, smallest_p

DOSES = [0, 0.1, 0.3, 0.5, 1]


def test_the_textbook_example() -> None:
    """Toluca Company (Kutner et al. 2005, section 2.3): slope 1.5, sigma^2 2500, Sxx 19800, df 23; .97
    to 1.00 in their Table B.5 between delta 4 and 5, .9766 by their interpolation at 4.22."""
    doses = np.zeros(25)
    doses[:2] = math.sqrt(19800 / 2) * np.array([1, -1])
    power = slope_power(1.5, list(doses), 1, noise=50)
    assert 1.5 * math.sqrt(19800) / 50 == pytest.approx(4.22, abs=0.005)
    assert power == pytest.approx(0.9766, abs=0.006)


@pytest.mark.parametrize("test", ["blocks", "slopes"])
@pytest.mark.parametrize("slope", [0.0, 2.5])
def test_simulated_sweeps_are_found_as_often(test: Test, slope: float) -> None:
    """4,000 sweeps of 5 doses x 3 seeds, with other levels in each seed; rejected by other code."""
    rng = np.random.default_rng(7)
    x = np.asarray(DOSES)
    rejected = 0
    repeats = 4000
    levels = rng.normal(0, 5, (repeats, 3, 1))
    found = levels + slope * x + rng.normal(0, 1, (repeats, 3, len(x)))
    if test == "slopes":
        slopes = np.polyfit(x, found.reshape(-1, len(x)).T, 1)[0].reshape(repeats, 3)
        rejected = int((stats.ttest_1samp(slopes, 0, axis=1).pvalue < 0.05).sum())
    else:
        design = np.column_stack([np.tile(x, 3), np.repeat(np.eye(3), len(x), axis=0)])
        inverse = np.linalg.inv(design.T @ design)
        y = found.reshape(repeats, -1)
        fitted = y @ design @ inverse
        noise = ((y - fitted @ design.T) ** 2).sum(1) / (15 - 4)
        t = fitted[:, 0] / np.sqrt(noise * inverse[0, 0])
        rejected = int((2 * stats.t.sf(abs(t), 11) < 0.05).sum())
        assert t[0] == pytest.approx(sm.OLS(y[0], design).fit().tvalues[0])
    expected = slope_power(slope, DOSES, 3, test=test)
    assert rejected / repeats == pytest.approx(expected, abs=4 * math.sqrt(0.25 / repeats))


def test_no_slope_is_found_at_the_level() -> None:
    assert slope_power(0, DOSES, 3) == pytest.approx(0.05)
    assert slope_power(0, DOSES, 3, level=0.9) == pytest.approx(0.1)


@pytest.mark.parametrize("test", ["blocks", "slopes"])
def test_the_detectable_slope_has_the_power_it_is_asked_for(test: Test) -> None:
    slope = detectable_slope(DOSES, 3, noise=7, test=test, power=0.9)
    assert slope_power(slope, DOSES, 3, noise=7, test=test) == pytest.approx(0.9)
    assert slope_power(-slope, DOSES, 3, noise=7, test=test) == pytest.approx(0.9)
    assert slope == pytest.approx(7 * detectable_slope(DOSES, 3, test=test, power=0.9))
    assert detectable_slope(DOSES, 6, noise=7, test=test, power=0.9) < slope / math.sqrt(2) + 1e-9
    assert slope_power(1e6, DOSES, 3, test=test) == pytest.approx(1)


def test_one_seed_has_no_spread_of_slopes() -> None:
    assert detectable_slope(DOSES, 1, test="slopes") == math.inf
    assert slope_power(9, [0, 1], 1) == 0
    assert math.isfinite(detectable_slope(DOSES, 1))


def test_the_smallest_p_of_a_permutation() -> None:
    assert smallest_p(2, 1) == 1
    assert smallest_p(2, 2) == pytest.approx(0.5)
    assert smallest_p(5, 3) == pytest.approx(2 / 120**3)


@pytest.mark.parametrize(
    ("doses", "seeds", "noise"), [([0.3], 3, 1), ([0.3, 0.3], 3, 1), ([0, 1], 0, 1), ([0, 1], 3, 0)]
)
def test_designs_without_a_slope_are_refused(doses: list[float], seeds: int, noise: float) -> None:
    with pytest.raises(ConfigError):
        detectable_slope(doses, seeds, noise)
