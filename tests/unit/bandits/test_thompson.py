from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

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
    bandit = told(counts, sums, draws=40_000)
    first, second = (stats.beta(1 + s, 1 + n - s) for n, s in zip(counts, sums, strict=True))
    exact, _ = integrate.quad(lambda x: first.pdf(x) * second.cdf(x), 0, 1)
    assert bandit.probabilities() == pytest.approx([exact, 1 - exact], abs=4 * 0.5 / np.sqrt(40_000))


def test_selection_follows_the_chance_to_be_best() -> None:
    bandit = told([6, 6, 6], [4, 3, 1], draws=40_000)
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


def test_many_arms_are_drawn_in_parts_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = told([3] * 50, list(np.linspace(0, 3, 50))).probabilities()
    monkeypatch.setattr("rlpersona.bandits.thompson.CELLS", 120)
    assert np.array_equal(told([3] * 50, list(np.linspace(0, 3, 50))).probabilities(), whole)
