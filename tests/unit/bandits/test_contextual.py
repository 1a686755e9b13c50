"""The per-question policy: finds which persona suits which topic, and where none does, says so."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rlpersona.bandits import make_bandit
from rlpersona.bandits.contextual import PerQuestion
from rlpersona.errors import ConfigError, DataError

TOPICS = np.array([[1.0, 0.0], [0.0, 1.0]])


def train(accuracy: np.ndarray, rounds: int, seed: int = 0) -> PerQuestion:
    """`accuracy` (topics, arms); a round asks 16 questions of a random topic, 8 draws each."""
    bandit = PerQuestion(accuracy.shape[1], seed, context_size=2)
    rng = np.random.default_rng([seed, 1])
    for _ in range(rounds):
        # The third digit makes questions of one topic different ones.
        topics = rng.integers(0, 2, 16)
        contexts = TOPICS[topics] + rng.normal(0, 1e-3, (16, 2))
        arms = bandit.select_for(contexts, 8)
        ease = rng.normal(0, 0.2, 16)[:, None]
        rewards = rng.random(arms.shape) < accuracy[topics[:, None], arms] + ease
        bandit.update_for(np.repeat(contexts, 8, axis=0), arms.ravel(), rewards.ravel().astype(float))
    return bandit


def test_each_topic_gets_its_persona() -> None:
    accuracy = np.full((2, 6), 0.4)
    accuracy[0, 1] = accuracy[1, 4] = 0.8
    accuracy[:, 3] = 0.62  # the best single persona: 0.62 on both, 0.60 of the specialists
    bandit = train(accuracy, 300)
    assert bandit.best_for(TOPICS).tolist() == [1, 4]
    earned = (bandit.policy(TOPICS) * accuracy).sum(axis=1).mean()
    assert earned > 0.7 > accuracy.mean(axis=0).max()
    assert bandit.probabilities()[[1, 4]].sum() > 0.7


def test_null_world_does_not_pretend() -> None:
    far = []
    for seed in range(5):
        bandit = train(np.full((2, 6), 0.5), 60, seed)
        first, second = bandit.policy(TOPICS)
        far.append(np.abs(first - second).sum() / 2)
    assert np.mean(far) < 0.35
    planted = np.full((2, 6), 0.4)
    planted[0, 1] = planted[1, 4] = 0.8
    first, second = train(planted, 60).policy(TOPICS)
    assert np.abs(first - second).sum() / 2 > 2 * np.mean(far)


def test_gradient_against_the_exact_one() -> None:
    """The mean of many one-step gradients, from draws of an older policy, is the exact gradient."""
    accuracy = np.array([[0.2, 0.5, 0.9], [0.8, 0.3, 0.4]])
    rng = np.random.default_rng(3)
    now = rng.normal(0, 0.7, (3, 3))
    rows = np.hstack([TOPICS, np.ones((2, 1))])
    drawn_from = np.full((2, 3), 1 / 3)
    sums = np.zeros((3, 3))
    repeats = 4000
    for _ in range(repeats):
        bandit = PerQuestion(3, context_size=2, max_weight=100.0)
        bandit.weights = now.copy()
        arms = rng.integers(0, 3, (2, 4))
        rewards = (rng.random(arms.shape) < np.take_along_axis(accuracy, arms, axis=1)).astype(float)
        chances = np.take_along_axis(drawn_from, arms, axis=1)
        bandit.update_for(np.repeat(TOPICS, 4, axis=0), arms.ravel(), rewards.ravel(), chances.ravel())
        sums += bandit._first / (1 - 0.9)
    policy = np.exp(rows @ now.T)
    policy /= policy.sum(axis=1, keepdims=True)
    value = (policy * accuracy).sum(axis=1, keepdims=True)
    exact = (policy * (accuracy - value)).T @ rows / 2
    np.testing.assert_allclose(sums / repeats, exact, atol=0.012)


def test_a_lone_evaluation_teaches_nothing_and_a_pair_does() -> None:
    bandit = PerQuestion(3, context_size=2)
    bandit.update_for(TOPICS, [0, 1], [1.0, 0.0])
    assert not bandit.weights.any()
    bandit.update_for(TOPICS[[0, 0]], [0, 1], [1.0, 0.0])
    assert bandit.best_for(TOPICS[:1]).tolist() == [0]
    assert bandit.counts.tolist() == [2, 2, 0]


def test_as_a_plain_bandit() -> None:
    bandit = make_bandit("per-question", 5, 1, context_size=2)
    rng = np.random.default_rng(0)
    for _ in range(150):
        arms = bandit.select(8)
        bandit.update(arms, (rng.random(8) < np.where(arms == 2, 0.9, 0.3)).astype(float))
    assert bandit.ranking(1)[0] == 2
    assert bandit.probabilities().sum() == pytest.approx(1)


def test_resume_bit_for_bit() -> None:
    half = train(np.array([[0.2, 0.8], [0.8, 0.2]]), 20)
    other = PerQuestion(2, 9, context_size=2)
    other.load_state_dict(json.loads(json.dumps(half.state_dict())))
    for bandit in (half, other):
        arms = bandit.select_for(TOPICS, 4)
        bandit.update_for(np.repeat(TOPICS, 4, axis=0), arms.ravel(), (arms.ravel() == 0).astype(float))
    np.testing.assert_array_equal(half.weights, other.weights)
    np.testing.assert_array_equal(half.select_for(TOPICS, 9), other.select_for(TOPICS, 9))
    np.testing.assert_array_equal(half.probabilities(), other.probabilities())


def test_invalid_inputs() -> None:
    with pytest.raises(ConfigError, match="context_size"):
        PerQuestion(3, context_size=0)
    bandit = PerQuestion(3, context_size=2)
    with pytest.raises(DataError, match="contexts"):
        bandit.select_for([[1.0, 2.0, 3.0]], 2)
    with pytest.raises(DataError, match="finite"):
        bandit.policy([[np.nan, 0.0]])
    with pytest.raises(DataError, match="1 contexts for 2"):
        bandit.update_for(TOPICS[:1], [0, 1], [1.0, 0.0])
    with pytest.raises(DataError, match="arm"):
        bandit.update_for(TOPICS, [0, 3], [1.0, 0.0])
    assert not bandit.counts.any()
    broken = {**bandit.state_dict(), "weights": [[0.0]]}
    with pytest.raises(DataError, match="broken"):
        PerQuestion(3, context_size=2).load_state_dict(broken)
