"""Emax, contrasts and order-restricted means against the published example of MCP-Mod.

`biom` of the R package DoseFinding (Bretz, Pinheiro & Branson 2005): 20 patients at each of five doses.
Means of the doses, their standard error and everything expected below are printed in the documentation
of its function MCPMod.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rlpersona.errors import DataError
from rlpersona.stats.contrasts import candidates, contrast_test, dose_means, optimal_contrast
from rlpersona.stats.emax import fit_emax, isotonic

DOSES = np.array([0, 0.05, 0.2, 0.6, 1])
MEANS = np.array([0.3449054, 0.457, 0.8103158, 0.934, 0.9487114])
ERROR = 0.1592893
SHAPES = {
    "emax1": DOSES / (0.05 + DOSES),
    "emax2": DOSES / (0.2 + DOSES),
    "linear": DOSES,
    "linInt": np.array([0.0, 1, 1, 1, 1]),
}


def test_contrasts_and_statistics_of_the_published_example() -> None:
    found = contrast_test(MEANS, np.eye(5) * ERROR**2, 95, SHAPES, two_sided=False)
    published = {
        "linear": [-0.437, -0.378, -0.201, 0.271, 0.743],
        "emax1": [-0.799, -0.170, 0.207, 0.362, 0.399],
        "emax2": [-0.643, -0.361, 0.061, 0.413, 0.530],
        "linInt": [-0.894, 0.224, 0.224, 0.224, 0.224],
    }
    for name, contrast in published.items():
        assert found.contrasts[name] == pytest.approx(contrast, abs=6e-4)
    statistics = {"emax2": 3.464, "emax1": 3.339, "linear": 2.972, "linInt": 2.486}
    assert found.statistics == pytest.approx(statistics, abs=3e-3)  # means are printed to three digits
    # The package integrates to an absolute error of 1e-3.
    adjusted = {"emax2": 0.001, "emax1": 0.0015, "linear": 0.00402, "linInt": 0.01632}
    assert found.p_values == pytest.approx(adjusted, abs=1e-3)
    assert found.best == "emax2"


def test_p_values_are_those_of_the_multivariate_t() -> None:
    shapes = {name: SHAPES[name] for name in ("emax1", "linear")}
    for two_sided in (False, True):
        found = contrast_test(MEANS, np.eye(5) * ERROR**2, 8, shapes, two_sided=two_sided)
        rows = np.array(list(found.contrasts.values()))
        theirs = stats.multivariate_t(shape=rows @ rows.T, df=8)
        for name, t in found.statistics.items():
            low = [-abs(t)] * 2 if two_sided else [-np.inf] * 2
            inside = theirs.cdf([t] * 2, lower_limit=low, random_state=np.random.default_rng(0))
            assert found.p_values[name] == pytest.approx(1 - inside, rel=0.02)


def test_one_contrast_is_students_test() -> None:
    found = contrast_test(MEANS, np.eye(5) * ERROR**2, 11, {"linear": DOSES})
    t = found.statistics["linear"]
    assert found.p_values["linear"] == pytest.approx(2 * stats.t.sf(t, 11), rel=1e-9)


def test_the_optimal_contrast_has_the_most_power_of_all() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    covariance = root @ root.T + np.eye(5)
    shape = SHAPES["emax2"]

    def power(c: np.ndarray) -> float:
        return float(c @ shape / np.sqrt(c @ covariance @ c))

    best = optimal_contrast(shape, covariance)
    others = rng.normal(size=(2000, 5))
    others -= others.mean(axis=1, keepdims=True)
    assert best.sum() == pytest.approx(0, abs=1e-12)
    assert max(map(power, others)) <= power(best) + 1e-12
    with pytest.raises(DataError, match="constant"):
        optimal_contrast(np.ones(5), covariance)


def test_the_contrast_test_keeps_its_level_with_seeds_as_blocks() -> None:
    rng = np.random.default_rng(1)
    doses, seeds = np.tile([0, 0.1, 0.3, 0.5, 1.0], 3), list(np.repeat([1, 2, 3], 5))
    rejected = 0
    for _ in range(150):
        values = rng.normal(size=15) + np.repeat(rng.normal(0, 5, 3), 5)
        at, means, covariance, df = dose_means(values, doses, seeds)
        shapes = {name: shape(at) for name, shape in candidates(1.0).items()}
        found = contrast_test(means, covariance, df, shapes)
        rejected += found.p_values[found.best] < 0.05
    assert df == 8
    assert 0.01 < rejected / 150 < 0.1


def test_means_of_doses_are_least_squares_with_seeds_as_blocks() -> None:
    import statsmodels.formula.api as smf
    from pandas import DataFrame

    rng = np.random.default_rng(2)
    doses, seeds = np.tile([0, 0.5, 1.0], 4), np.repeat([1, 2, 3, 4], 3)
    values = rng.normal(size=12) + doses + seeds
    values[4] = np.nan  # unbalanced
    at, means, covariance, df = dose_means(values, doses, list(seeds))
    frame = DataFrame({"y": values, "d": doses, "s": seeds}).dropna()
    fit = smf.ols("y ~ C(d) + C(s)", frame).fit()
    assert list(at) == [0, 0.5, 1]
    assert df == fit.df_resid
    assert means[1:] - means[0] == pytest.approx([fit.params["C(d)[T.0.5]"], fit.params["C(d)[T.1.0]"]])
    spread = covariance[2, 2] + covariance[0, 0] - 2 * covariance[0, 2]
    assert spread**0.5 == pytest.approx(fit.bse["C(d)[T.1.0]"])


def test_emax_of_the_published_example() -> None:
    # Two values at each dose whose mean is the published one give the published least squares.
    values, doses = np.repeat(MEANS, 2) + np.tile([-0.1, 0.1], 5), np.repeat(DOSES, 2)
    found = fit_emax(values, doses)
    assert (found.e0, found.emax, found.ed50) == pytest.approx((0.322, 0.746, 0.142), abs=1e-3)
    assert found.at([0, 0.2, 0.4, 0.9, 1]) == pytest.approx(
        [0.3216107, 0.7578039, 0.8721944, 0.9660905, 0.9750049], abs=3e-4
    )
    assert found.problem == ""
    assert found.low < found.ed50 < found.high


def test_emax_finds_what_was_planted_and_its_interval_covers() -> None:
    rng = np.random.default_rng(4)
    doses, seeds = np.tile([0, 0.1, 0.3, 0.5, 1.0], 3), list(np.repeat([1, 2, 3], 5))
    hits = 0
    for _ in range(100):
        truth = 10 + 8 * doses / (0.25 + doses) + np.repeat(rng.normal(0, 3, 3), 5)
        found = fit_emax(truth + rng.normal(0, 0.3, 15), doses, seeds)
        hits += found.low <= 0.25 <= found.high
    assert hits / 100 > 0.9


def test_a_straight_line_says_that_its_emax_is_not_determined() -> None:
    doses = np.repeat([0, 0.1, 0.3, 0.5, 1.0], 3)
    line = fit_emax(5 * doses + np.tile([-0.01, 0, 0.01], 5), doses)
    assert "largest" in line.problem
    with pytest.raises(DataError, match="do not determine"):
        fit_emax([0, 1, 0, 1], [0, 1, 0, 1])


def test_isotonic_means_never_fall_and_pool_what_does() -> None:
    at, curve = isotonic([1.0, 3, 2, 4], [0, 1, 2, 3], increasing=True)
    assert list(at) == [0, 1, 2, 3]
    assert curve == pytest.approx([1, 2.5, 2.5, 4])
    _, falling = isotonic([1.0, 3, 2, 4], [0, 1, 2, 3], increasing=False)
    assert falling == pytest.approx([2.5] * 4)
