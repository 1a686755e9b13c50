"""The normal model behind the contextual algorithms."""

from __future__ import annotations

import numpy as np
import pytest

from rlpersona.bandits import make_bandit
from rlpersona.bandits.beliefs import Beliefs
from rlpersona.bandits.hierarchical import HierarchicalHalving


def beliefs(arms: int = 200, d: int = 3, learn: bool = True) -> tuple[Beliefs, np.ndarray]:
    features = np.random.default_rng(0).normal(size=(arms, d))
    return Beliefs(features, 0.05, 0.5, learn), features


def test_posterior_against_the_joint_normal() -> None:
    model, x = beliefs(40, learn=False)
    rng = np.random.default_rng(1)
    counts = np.where(np.arange(40) < 25, rng.integers(1, 9, 40), 0)
    sums = rng.binomial(counts, 0.6).astype(float)
    model.absorb(counts, sums)
    seen = counts > 0
    noise = model.noise() / counts[seen]
    y = sums[seen] / counts[seen]
    joint = 1 + model.guess[0] * x @ x.T + model.guess[1] * np.eye(40)
    centre = np.average(y, weights=1 / noise)
    gain = joint[:, seen] @ np.linalg.inv(joint[np.ix_(seen, seen)] + np.diag(noise))
    np.testing.assert_allclose(model.mean, centre + gain @ (y - centre), atol=1e-9)
    np.testing.assert_allclose(model.sd**2, np.diag(joint - gain @ joint[seen]), atol=1e-9)

    draws = model.draw(np.random.default_rng(2), 40_000)
    np.testing.assert_allclose(draws.mean(axis=0), model.mean, atol=5 * model.sd.max() / 200)
    found = np.cov(draws.T)
    np.testing.assert_allclose(found, joint - gain @ joint[seen], atol=1e-4)


def test_spreads_are_learned() -> None:
    model, x = beliefs(2000)
    rng = np.random.default_rng(4)
    truth = 0.5 + 0.1 * x @ np.array([0.6, 0.0, 0.8]) + rng.normal(0, 0.03, 2000)
    counts = np.full(2000, 100)
    model.absorb(counts, rng.binomial(100, np.clip(truth, 0, 1)).astype(float))
    assert np.sqrt(model.variances[0] * 3) == pytest.approx(0.1, rel=0.4)  # from three slopes
    assert np.sqrt(model.variances[1]) == pytest.approx(0.03, abs=0.005)
    assert np.sqrt(np.mean((model.mean - truth) ** 2)) < 0.03


def test_hard_questions_do_not_make_arms_worse() -> None:
    """The better half is then asked questions that are 10 points harder: it stays the better half."""
    model, x = beliefs()
    rng = np.random.default_rng(5)
    truth = 0.6 + 0.05 * x[:, 0]
    model.absorb(np.full(200, 40), rng.binomial(40, truth).astype(float))
    best = np.argsort(-model.mean)[:100]
    before = model.mean[best].mean()
    counts = np.zeros(200, np.int64)
    counts[best] = 400
    model.absorb(counts, rng.binomial(counts, truth - 0.1).astype(float))
    assert model.mean[best].mean() == pytest.approx(before, abs=0.02)
    assert set(np.argsort(-model.mean)[:10].tolist()) <= set(best.tolist())


def test_first_arms_are_the_telling_ones() -> None:
    """Two groups of 5 among 400 alike: a random design of 20 would hardly meet them."""
    features = np.zeros((400, 2))
    features[:5, 0] = features[5:10, 1] = 1.0
    bandit = make_bandit("hierarchical", 400, 0, features=features, budget=4000, design=20)
    assert isinstance(bandit, HierarchicalHalving)
    first = bandit.select(400)
    assert len(first) == 20
    assert (first < 5).sum() >= 3
    assert ((first >= 5) & (first < 10)).sum() >= 3


def test_chance_best() -> None:
    model, _ = beliefs(3, d=0)
    model.absorb(np.array([2000, 2000, 0]), np.array([1400.0, 900.0, 0.0]))
    chances = model.chance_best(0, draws=4000)
    assert chances.sum() == pytest.approx(1)
    assert chances[0] > 0.6
    assert chances[1] < 0.01
    assert chances[2] > 0.05  # never tried: its chance is as wide as the prior
