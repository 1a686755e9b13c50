"""Drift in worlds whose truth is planted, and in worlds where nothing moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group

from rlpersona.axis.drift import (
    crossed_bootstrap,
    debiased_cka,
    expected_cosine,
    projection_drift,
    random_directions,
    rotation,
    rotation_interval,
    split_half,
)
from rlpersona.axis.vectors import axis, cosine, project
from rlpersona.errors import DataError
from rlpersona.stats.crossed import crossed_mean

ROLES, QUESTIONS, LAYERS, WIDTH = 12, 40, 2, 32


def world(seed: int, signal: float = 1.0, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Means by question of the default and the roles: a planted axis along the first dimension.

    The roles' own places are the same in every world, questions and noise are not."""
    generator = np.random.default_rng(seed)
    own = generator.normal(0, noise, (QUESTIONS, LAYERS, WIDTH))
    own[..., 0] += signal
    places = np.random.default_rng(99).normal(0, 1, (ROLES, 1, LAYERS, WIDTH))
    places -= places.mean(axis=0)
    roles = places + generator.normal(0, noise, (ROLES, QUESTIONS, LAYERS, WIDTH))
    return own, roles


def axis_of(parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return axis(np.nanmean(parts[0], axis=0), np.nanmean(parts[1], axis=1))


def test_an_equal_checkpoint_has_moved_by_exactly_nothing() -> None:
    base = world(0)
    same = (base[0].copy(), base[1].copy())
    assert (projection_drift(base[1], same[1], axis_of(base), 0.37) == 0).all()
    assert (rotation(axis_of(base), axis_of(same)) == 1).all()
    assert debiased_cka(base[1][0, :, 0], same[1][0, :, 0]) == 1
    moved = crossed_bootstrap(projection_drift(base[1], same[1], axis_of(base)), resamples=200)
    for part in (moved.estimate, moved.low, moved.high):
        assert (part == 0).all()
    turned = rotation_interval(base, same)
    for part in (turned.estimate, turned.low, turned.high):
        assert (part == 1).all()


def test_a_planted_movement_is_measured_in_the_unit_given() -> None:
    roles = world(0)[1]
    direction = np.zeros((LAYERS, WIDTH))
    direction[:, 0] = 5.0
    after = roles.copy()
    after[..., 0] += 0.6
    shift = projection_drift(roles, after, direction, unit=[2.0, 3.0])
    np.testing.assert_allclose(shift, np.broadcast_to([0.3, 0.2], shift.shape), atol=1e-12)
    with pytest.raises(DataError, match="before and"):
        projection_drift(roles, roles[1:], direction)


def test_the_ceiling_foretells_the_cosine_of_two_axes_that_have_not_turned() -> None:
    cosines, expected, halves = [], [], []
    for seed in range(30):
        one, other = world(2 * seed, noise=2.0), world(2 * seed + 1, noise=2.0)
        cosines.append(rotation(axis_of(one), axis_of(other)))
        ceilings = [split_half(*part, splits=20) for part in (one, other)]
        expected.append(expected_cosine(*ceilings))
        halves.append(ceilings[0].halves)
    # |a|^2 = 1 and E = WIDTH * noise^2 / QUESTIONS * (1 + 1 / ROLES), worked out by hand.
    energy = WIDTH * 4 / QUESTIONS * (1 + 1 / ROLES)
    assert np.mean(cosines) == pytest.approx(1 / (1 + energy), abs=0.05)
    assert np.mean(expected) == pytest.approx(np.mean(cosines), abs=0.05)
    assert np.mean(halves) == pytest.approx(1 / (1 + 2 * energy), abs=0.05)


def test_without_an_axis_the_halves_agree_by_chance_alone() -> None:
    found = [split_half(*world(seed, signal=0.0), splits=20).halves for seed in range(20)]
    assert abs(np.mean(found)) < 0.05


def test_a_turned_axis_lies_under_the_ceiling() -> None:
    base = world(0, noise=0.2)
    turned = (base[0].copy(), base[1])
    turned[0][..., 0] -= 1
    turned[0][..., 1] += 1
    found = rotation_interval(base, turned)
    ceiling = expected_cosine(split_half(*base), split_half(*turned))
    assert (found.high < ceiling - 0.3).all()
    assert (found.low < found.estimate).all()
    assert (found.estimate < found.high).all()
    assert found.estimate == pytest.approx(0, abs=0.1)
    with pytest.raises(DataError, match="roles and questions"):
        rotation_interval(base, (base[0], base[1][1:]))


def test_the_interval_of_a_rotation_is_as_wide_as_rotations_differ() -> None:
    estimates, reaches = [], []
    for seed in range(60):
        base, other = world(2 * seed), world(2 * seed + 1)
        found = rotation_interval(base, other)
        estimates.append(found.estimate)
        reaches.append((found.high - found.low) / 2)
    # The roles are the same in all worlds: only the questions' noise differs between them.
    spread = np.std(estimates, axis=0).mean()
    assert spread < np.mean(reaches) / 2 < 3 * spread


def test_missing_cells_do_not_count() -> None:
    own, roles = world(0, noise=0.0)
    full = split_half(own, roles, splits=5)
    roles = roles.copy()
    roles[2, 5] = roles[7, 1:4] = own[9] = np.nan
    np.testing.assert_allclose(split_half(own, roles, splits=5).halves, full.halves, atol=1e-12)
    with pytest.raises(DataError, match="cannot be halved"):
        split_half(own[:3], roles[:, :3])
    with pytest.raises(DataError, match="shape"):
        split_half(own, roles[:, :3])


def test_the_crossed_bootstrap_agrees_with_the_analysis_of_variance() -> None:
    generator = np.random.default_rng(3)
    table = generator.normal(0, 1, (30, 1)) + generator.normal(0, 1, (1, 40))
    table = table + generator.normal(0, 1, (30, 40)) + 2
    found = crossed_bootstrap(np.stack([table, 10 * table], axis=-1), resamples=2000)
    theory = crossed_mean(table)
    assert found.estimate[0] == pytest.approx(theory.estimate)
    assert found.high[0] - found.low[0] == pytest.approx(theory.high - theory.low, rel=0.2)
    np.testing.assert_allclose(found.low[1], 10 * found.low[0])
    assert (found.roles, found.questions) == (30, 40)


def test_questions_alone_and_missing_cells() -> None:
    values = np.random.default_rng(4).normal(1, 1, (1, 50))
    alone = crossed_bootstrap(values, resamples=2000)
    assert (alone.high - alone.low) / 4 == pytest.approx(values.std(ddof=1) / 50**0.5, rel=0.15)
    table = np.array([[1.0, np.nan], [3.0, 8.0]])
    assert crossed_bootstrap(table, resamples=100).estimate == 4.0
    with pytest.raises(DataError, match="without values"):
        crossed_bootstrap([[np.nan]])


def test_cka_by_hand() -> None:
    x = np.array([[1.0], [0.0], [0.0], [0.0]])
    y = np.array([[0.0], [1.0], [0.0], [0.0]])
    # Centred kernels with zero diagonals: K = -3/16 in row and column 0, 1/16 elsewhere; L alike in 1.
    k = np.full((4, 4), 1 / 16)
    k[0], k[:, 0] = -3 / 16, -3 / 16
    np.fill_diagonal(k, 0)
    l = k[[1, 0, 2, 3]][:, [1, 0, 2, 3]]  # noqa: E741
    ones = np.ones(4)

    def hsic(a: np.ndarray, b: np.ndarray) -> float:
        crossed = (ones @ a @ ones) * (ones @ b @ ones) / 6
        return float((np.trace(a @ b) + crossed - ones @ a @ b @ ones) / 4)

    if hsic(k, k) > 0:
        assert debiased_cka(x, y) == pytest.approx(hsic(k, l) / hsic(k, k))
    else:
        assert np.isnan(debiased_cka(x, y))


@pytest.mark.parametrize(("n", "p"), [(20, 5), (50, 400)])
def test_cka_does_not_see_rotation_scale_and_shift(n: int, p: int) -> None:
    x = np.random.default_rng(n).standard_normal((n, p))
    turn = ortho_group.rvs(p, random_state=1)
    assert debiased_cka(x, 3 * x @ turn + 5) == pytest.approx(1, abs=1e-10)


def test_cka_of_independent_data_is_about_zero_where_the_biased_one_is_not() -> None:
    generator = np.random.default_rng(5)
    found, biased = [], []
    for _ in range(40):
        x, y = generator.standard_normal((30, 200)), generator.standard_normal((30, 300))
        found.append(debiased_cka(x, y))
        k, l = (v - v.mean(0) for v in (x, y))  # noqa: E741
        k, l = k @ k.T, l @ l.T  # noqa: E741
        biased.append((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))
    assert abs(np.mean(found)) < 0.02
    assert np.max(np.abs(found)) < 0.3
    assert np.mean(biased) > 0.8


def test_cka_of_half_the_signal_lies_between() -> None:
    generator = np.random.default_rng(6)
    x = generator.standard_normal((200, 20))
    assert 0.3 < debiased_cka(x, x + generator.standard_normal((200, 20))) < 0.8
    assert np.isnan(debiased_cka(x, np.ones((200, 3))))
    for wrong in (x[:50], x[0]):
        with pytest.raises(DataError, match="representations of shape"):
            debiased_cka(x, wrong)


@given(st.integers(4, 12), st.integers(1, 6), st.floats(-50, 50), st.integers(0, 999))
def test_cka_is_symmetric_and_at_most_one(n: int, p: int, shift: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, y = generator.standard_normal((n, p)), generator.standard_normal((n, 3)) + shift
    found, back = debiased_cka(x, y), debiased_cka(y, x)
    assert np.isnan(found) == np.isnan(back)
    if not np.isnan(found):
        assert found == pytest.approx(back, abs=1e-6)


def test_random_directions_are_as_long_as_the_axis_and_point_anywhere() -> None:
    like = np.random.default_rng(7).standard_normal((LAYERS, WIDTH)) * [[1.0], [9.0]]
    drawn = random_directions(like, 500, seed=1)
    expected = np.broadcast_to(np.linalg.norm(like, axis=-1), (500, LAYERS))
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), expected)
    assert abs(cosine(drawn, like).mean()) < 0.03
    assert cosine(drawn, like).std() == pytest.approx(WIDTH**-0.5, rel=0.15)
    assert (random_directions(like, 500, seed=1) == drawn).all()
    assert (random_directions(like, 500, seed=2) != drawn).all()


def test_random_mixtures_stay_where_the_roles_are() -> None:
    roles = np.zeros((5, 1, 8))
    roles[..., :3] = np.random.default_rng(8).standard_normal((5, 1, 3))
    drawn = random_directions(np.ones((1, 8)), 20, within=roles)
    assert not drawn[..., 3:].any()
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=-1), 8**0.5)
    with pytest.raises(DataError, match="role vectors of shape"):
        random_directions(np.ones((1, 8)), 20, within=roles[:1])


def test_a_random_movement_is_covered_by_the_random_directions() -> None:
    # A model moved by noise: its drift along the axis is one draw among those along random directions.
    inside = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        like, moved = generator.standard_normal((2, 1, WIDTH))
        along = project(moved, like)[0]
        control = np.array([project(moved, d)[0] for d in random_directions(like, 200, seed=seed)])
        low, high = np.quantile(control, [0.05, 0.95])
        inside += bool(low <= along <= high)
    assert 80 <= inside <= 98
