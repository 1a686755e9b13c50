from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from rlpersona.bandits.best import chance_best
from rlpersona.bandits.thompson import ThompsonSampling


def told(counts: list[int], sums: list[float], **params: float) -> ThompsonSampling:
    bandit = ThompsonSampling(len(counts), **params)  # type: ignore[arg-type]
    for arm, (count, total) in enumerate(zip(counts, sums, strict=True)):
        bandit.update([arm] * count, [total / count] * count if count else [])
    return bandit


@pytest.mark.parametrize(
    ("counts", "sums"), [([10, 10], [7, 4]), ([50, 5], [30, 4]), ([0, 3], [0, 2]), ([8, 8], [2.5, 3.75])]
)
def test_probabilities_are_the_integral_for_two_arms(counts: list[int], sums: list[float]) -> None:
    bandit = told(counts, sums)
    first, second = (stats.beta(1 + s, 1 + n - s) for n, s in zip(counts, sums, strict=True))
    exact, _ = integrate.quad(lambda x: first.pdf(x) * second.cdf(x), 0, 1)
    assert bandit.probabilities() == pytest.approx([exact, 1 - exact], abs=1e-4)


def test_selection_follows_the_chance_to_be_best() -> None:
    bandit = told([6, 6, 6], [4, 3, 1])
    firsts = [int(bandit.select(1)[0]) for _ in range(20_000)]
    assert np.bincount(firsts, minlength=3) / 20_000 == pytest.approx(bandit.probabilities(), abs=0.015)


def test_a_selection_has_no_arm_twice_and_prefers_the_better_half() -> None:
    bandit = told([20] * 6, [18, 17, 16, 4, 3, 2])
    chosen = np.array([bandit.select(3) for _ in range(200)])
    assert all(len(set(row)) == 3 for row in chosen.tolist())
    assert np.isin(chosen, [0, 1, 2]).mean() > 0.99
    assert sorted(bandit.select(50).tolist()) == list(range(6)), "no more than there are"


def test_probabilities_do_not_disturb_the_selections() -> None:
    looked, blind = ThompsonSampling(30, seed=3), ThompsonSampling(30, seed=3)
    for _ in range(5):
        first = looked.probabilities()
        assert np.array_equal(first, looked.probabilities())
        assert np.array_equal(looked.select(8), blind.select(8))


def test_fractional_rewards_are_partial_counts() -> None:
    bandit = ThompsonSampling(2, prior_successes=2, prior_failures=3)
    bandit.update([0, 0, 1], [0.25, 0.5, 1.0])
    successes, failures = bandit.posterior()
    assert successes == pytest.approx([2.75, 3.0])
    assert failures == pytest.approx([4.25, 3.0])
    assert bandit.ranking(2).tolist() == [1, 0]


@pytest.mark.parametrize("arms", [3, 50, 2000])
@pytest.mark.parametrize("most", [0, 4, 60])
@pytest.mark.parametrize("fractions", [False, True])
def test_chances_to_be_best_are_those_of_posterior_draws(arms: int, most: int, fractions: bool) -> None:
    rng = np.random.default_rng([arms, most])
    counts = rng.integers(0, most + 1, arms)
    sums = counts * rng.random(arms) if fractions else rng.binomial(counts, 0.6)
    chances = chance_best(1.0 + sums, 1.0 + counts - sums)
    assert chances.sum() == pytest.approx(1)
    rows = 3000
    draws = rng.beta(1.0 + sums, 1.0 + counts - sums, size=(rows, arms)).argmax(axis=1)
    frequent = np.bincount(draws, minlength=arms) / rows
    assert np.all(np.abs(frequent - chances) < 5 * np.sqrt(chances * (1 - chances) / rows) + 2 / rows)


def test_chance_to_be_best_by_exact_summation() -> None:
    # Miller (2015) for whole parameters: a sum over the successes of the first arm.
    (a1, b1), (a2, b2) = (8, 4), (5, 3)
    exact = sum(
        np.exp(special.betaln(a2 + i, b1 + b2) - special.betaln(1 + i, b1) - special.betaln(a2, b2))
        / (b1 + i)
        for i in range(a1)
    )
    two = chance_best(np.array([a1, a2], float), np.array([b1, b2], float))
    assert two == pytest.approx([exact, 1 - exact], abs=1e-5)
    assert chance_best(np.full(3, 8.0), np.full(3, 4.0)) == pytest.approx(np.full(3, 1 / 3))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6)), min_size=1, max_size=30))
def test_chances_are_sound_whatever_the_posteriors(pairs: list[tuple[float, float]]) -> None:
    chances = chance_best(*np.array(pairs).T)
    assert chances.sum() == pytest.approx(1)
    assert chances.min() >= 0


def test_chances_are_kept_until_something_is_learned() -> None:
    bandit = told([5, 5], [3, 2])
    first = bandit.probabilities()
    first[:] = 9.0
    assert bandit.probabilities().sum() == pytest.approx(1), "a caller's changes stay the caller's"
    state = bandit.state_dict()
    before = bandit.probabilities()
    bandit.update([1] * 10, [1.0] * 10)
    assert bandit.probabilities()[1] > before[1] + 0.3
    bandit.load_state_dict(state)
    assert np.array_equal(bandit.probabilities(), before)
