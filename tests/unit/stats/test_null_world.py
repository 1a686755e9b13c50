"""A world without any persona effect: whatever a bandit comes to believe, validation must not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from rlpersona.bandits import make_bandit
from rlpersona.stats import holm, paired_difference

WORLDS, ARMS, WINNERS, QUESTIONS = 300, 20, 5, 200
BUDGET = {"halving": {"budget": 1000}}


def null_world(name: str, seed: int, binary: bool) -> tuple[float, np.ndarray]:
    """Train on equal arms, validate the winners on fresh questions: top probability, p-values."""
    rng = np.random.default_rng([seed, 11])
    bandit = make_bandit(name, ARMS, seed, **BUDGET.get(name, {}))
    for _ in range(40):
        arms = bandit.select(20)
        if bandit.finished:
            break
        bandit.update(arms, (rng.random(len(arms)) < rng.beta(3, 2)).astype(float))
    ease = rng.beta(3, 2, QUESTIONS)
    if binary:
        answers = (rng.random((WINNERS + 1, QUESTIONS)) < ease).astype(float)
    else:
        answers = np.clip(ease + rng.normal(0, 0.1, (WINNERS + 1, QUESTIONS)), 0, 1)
    tests = [
        paired_difference(answers[i], answers[-1]).p_value for i in range(len(bandit.ranking(WINNERS)))
    ]
    return float(bandit.probabilities().max()), np.array(tests)


@pytest.mark.parametrize("name", ["reinforce", "thompson", "halving"])
@pytest.mark.parametrize("binary", [True, False])
def test_no_winner_is_significant_where_there_is_none(name: str, binary: bool) -> None:
    worlds = [null_world(name, seed, binary) for seed in range(WORLDS)]
    # The policies do leave uniform by chance: reading them as findings would be the mistake.
    assert np.mean([top for top, _ in worlds]) > 1.5 / ARMS
    false = np.mean([(holm(tests) <= 0.05).any() for _, tests in worlds])
    assert false <= 0.07
    first = np.array([tests[0] for _, tests in worlds])
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (first <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / WORLDS)
    if not binary:
        assert stats.kstest(first, "uniform").pvalue > 0.001


def test_the_training_rewards_themselves_would_claim_winners() -> None:
    """The original mistake: testing the best arm on the evaluations that made it the best."""
    claimed = 0
    for seed in range(100):
        answers = np.random.default_rng(seed).random((50, 200)) < 0.6
        best = int(answers[:-1].sum(axis=1).argmax())
        claimed += paired_difference(answers[best], answers[-1]).p_value <= 0.05
    assert claimed > 20  # where the test promises five
