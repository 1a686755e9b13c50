"""Shrinkage against planted variances, hand-computed values and a dense second implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.stats import shrink
from rlpersona.stats.mixed import fit_mixed, solve_mixed


def planted(seed: int, arm_sd: float = 0.03, arms: int = 1500) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    fields, eras = rng.integers(0, 30, arms), rng.integers(0, 6, arms)
    truth = 0.6 + rng.normal(0, 0.04, 30)[fields] + rng.normal(0, 0.03, 6)[eras]
    truth = truth + rng.normal(0, arm_sd, arms)
    counts = rng.integers(0, 60, arms)
    means = rng.binomial(counts, truth) / np.where(counts, counts, np.nan)
    return {"truth": truth, "means": means, "counts": counts, "groups": [fields.tolist(), eras.tolist()]}


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def test_planted_spreads_come_back() -> None:
    found = []
    for seed in range(12):
        world = planted(seed)
        shrunk = shrink(world["means"], world["counts"], world["groups"])
        found.append([*shrunk.group_sds, shrunk.arm_sd, shrunk.mean])
    field_sd, era_sd, arm_sd, mean = np.mean(found, axis=0)
    assert field_sd == pytest.approx(0.04, abs=0.006)
    assert era_sd == pytest.approx(0.03, abs=0.01)
    assert arm_sd == pytest.approx(0.03, abs=0.006)
    assert mean == pytest.approx(0.6, abs=0.015)


def test_errors_are_smaller_than_of_any_simple_estimate() -> None:
    world = planted(3)
    truth, means, seen = world["truth"], world["means"], world["counts"] > 0
    shrunk = shrink(means, world["counts"], world["groups"])
    flat = shrink(means, world["counts"])
    grand = np.nanmean(means)
    assert rms(shrunk.estimates - truth) < 0.9 * rms(flat.estimates - truth)
    assert rms(flat.estimates - truth) < rms(grand - truth) < rms((means - truth)[seen])
    np.testing.assert_allclose(shrunk.estimates[~seen], shrunk.prior[~seen])
    low, high = shrunk.interval(0.9)
    assert np.mean((low < truth) & (truth < high)) == pytest.approx(0.9, abs=0.04)


def test_null_world_shrinks_to_the_mean() -> None:
    rng = np.random.default_rng(0)
    for groups in ((), [rng.integers(0, 20, 800).tolist()]):
        counts = np.full(800, 25)
        means = rng.binomial(25, 0.6, 800) / 25
        shrunk = shrink(means, counts, groups)
        assert means.std() > 0.09
        assert np.ptp(shrunk.estimates) < 0.35 * np.ptp(means)
        assert rms(shrunk.estimates - 0.6) < 0.02


def test_known_variances_by_hand() -> None:
    # Three arms, noise .02 each, between-arm variance .02: halfway to the mean .5.
    y, noise = np.array([0.3, 0.5, 0.7]), np.full(3, 0.02)
    model = solve_mixed(y, noise, np.zeros((3, 0)), [], np.array([0.02]))
    mean, variance, _ = model.posterior(np.zeros((3, 0)), y, noise)
    np.testing.assert_allclose(mean, [0.4, 0.5, 0.6], atol=1e-9)
    # Own part .02 / 2, and half the error of the mean of three: (.04 / 3) / 4 (its prior is 1 wide).
    np.testing.assert_allclose(variance, 0.01 + 0.04 / 3 / 4, rtol=0.02)


def test_fit_is_the_maximum_of_the_dense_likelihood() -> None:
    rng = np.random.default_rng(5)
    n = 60
    x = rng.normal(size=(n, 4))
    y = 0.5 + x @ rng.normal(0, 0.05, 4) + rng.normal(0, 0.05, n)
    noise = rng.uniform(0.0005, 0.004, n)
    y = y + rng.normal(0, np.sqrt(noise))
    model = fit_mixed(y, noise, x, [4])

    def likelihood(block: float, residual: float) -> float:
        centred = y - np.average(y, weights=1 / noise)
        v = np.ones((n, n)) + block * x @ x.T + np.diag(residual + noise)
        return -0.5 * float(np.linalg.slogdet(v)[1] + centred @ np.linalg.solve(v, centred))

    best = likelihood(model.variances[0], model.residual)
    for a in (0.8, 1.0, 1.25):
        for b in (0.8, 1.0, 1.25):
            assert likelihood(model.variances[0] * a, model.residual * b) <= best + 1e-6
    # The posterior is the conditional mean of the joint normal.
    joint = 1 + model.variances[0] * x @ x.T + model.residual * np.eye(n)
    centre = np.average(y, weights=1 / noise)
    dense = centre + joint @ np.linalg.solve(joint + np.diag(noise), y - centre)
    np.testing.assert_allclose(model.posterior(x, y, noise)[0], dense, atol=1e-8)


def test_a_guess_rules_where_there_are_no_data_and_yields_where_there_are() -> None:
    rng = np.random.default_rng(1)
    guess = np.array([0.02**2])
    truth = rng.normal(0.5, 0.1, 3000)
    for n, noise, low, high in ((5, 0.2, 0.012, 0.032), (3000, 0.001, 0.095, 0.105)):
        y = truth[:n] + rng.normal(0, np.sqrt(noise), n)
        model = fit_mixed(y, np.full(n, noise), np.zeros((n, 0)), [], guess)
        assert low < np.sqrt(model.residual) < high


def test_unknown_labels_have_no_effect() -> None:
    counts = np.array([400] * 40 + [0, 0])
    means = np.append(np.repeat([0.4, 0.8], 20), [np.nan, np.nan])
    labels: list[str | None] = [*["low"] * 20, *["high"] * 20, "high", None]
    shrunk = shrink(means, counts, [labels])
    assert shrunk.estimates[40] == pytest.approx(0.8, abs=0.02)
    assert shrunk.estimates[41] == pytest.approx(shrunk.mean)
    assert shrunk.sd[41] >= 0
    assert shrunk.group_sds[0] > 0.1


def test_other_scales_with_their_variance() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 5, 4000)
    shrunk = shrink(truth + rng.normal(0, 10, 4000), np.full(4000, 4), variance=400.0)
    assert shrunk.arm_sd == pytest.approx(5, abs=0.8)
    assert rms(shrunk.estimates - truth) < 5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.floats(0, 1)), min_size=1, max_size=12), st.integers(1, 4)
)
def test_wild_inputs_give_numbers_in_range(arms: list[tuple[int, float]], levels: int) -> None:
    counts = [count for count, _ in arms]
    if not any(counts):
        counts[0] = 1
    means = [round(share * n) / n if n else np.nan for n, (_, share) in zip(counts, arms, strict=True)]
    shrunk = shrink(means, counts, [[k % levels for k in range(len(arms))]])
    for values in (shrunk.estimates, shrunk.sd, shrunk.prior):
        assert np.isfinite(values).all()
    assert (shrunk.sd >= 0).all()
    assert shrunk.arm_sd >= 0
    assert (shrunk.estimates > -0.2).all()
    assert (shrunk.estimates < 1.2).all()


@pytest.mark.parametrize(
    ("means", "counts", "kwargs", "match"),
    [
        ([0.5], [1, 2], {}, "shape"),
        ([0.5, np.nan], [1, 2], {}, "not a number"),
        ([0.5, 1.5], [1, 2], {}, "not a number"),
        ([0.5, 0.5], [0, 0], {}, "not all zero"),
        ([0.5, 0.5], [1, -1], {}, "counts"),
        ([0.5, 0.5], [1, 1], {"groups": ["ab", "cd"]}, "labelling"),
        ([0.5, 0.5], [1, 1], {"groups": [["a"]]}, "labelling"),
        ([0.5, 0.5], [1, 1], {"variance": 0.0}, "variance"),
    ],
)
def test_invalid(means: Any, counts: Any, kwargs: dict[str, Any], match: str) -> None:
    with pytest.raises(DataError, match=match):
        shrink(means, counts, **kwargs)
