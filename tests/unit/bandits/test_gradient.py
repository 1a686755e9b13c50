from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.bandits.gradient import GradientBandit

MEANS = np.array([0.9, 0.5, 0.2, 0.6])
LOGITS = np.array([0.3, -0.4, 0.1, 0.8])


def closed_form(logits: np.ndarray, means: np.ndarray) -> np.ndarray:
    policy = np.exp(logits) / np.exp(logits).sum()
    return policy * (means - policy @ means)


def expected_estimate(k: int, baseline: float | None) -> np.ndarray:
    """Second implementation: the estimate averaged over every selection of k arms, reward = mean."""
    policy = np.exp(LOGITS) / np.exp(LOGITS).sum()
    total = np.zeros(4)
    for chosen in itertools.product(range(4), repeat=k):
        rewards = MEANS[list(chosen)]
        base = rewards.mean() if baseline is None else baseline
        scores = np.eye(4)[list(chosen)] - policy
        total += np.prod(policy[list(chosen)]) * ((rewards - base)[:, None] * scores).mean(axis=0)
    return total


@pytest.mark.parametrize(("baseline", "factor"), [("none", 1.0), ("ema", 1.0), ("including", 3 / 4)])
def test_expected_update_is_the_policy_gradient(baseline: str, factor: float) -> None:
    bandit = GradientBandit(4, seed=5, lr=1.0, optimizer="sgd", baseline=baseline)
    rng = np.random.default_rng(0)
    steps = np.empty((12_000, 4))
    for step in steps:
        bandit.logits = LOGITS.copy()
        bandit._ema = 0.55
        arms = bandit.select(4)
        bandit.update(arms, (rng.random(4) < MEANS[arms]).astype(float))
        step[:] = bandit.logits - LOGITS
    error = steps.std(axis=0) / np.sqrt(len(steps))
    assert np.all(np.abs(steps.mean(axis=0) - factor * closed_form(LOGITS, MEANS)) < 4 * error)
    assert np.all(error < 0.2 * np.abs(closed_form(LOGITS, MEANS)).max())


def test_including_baseline_shrinks_the_gradient_by_one_in_k_exactly() -> None:
    assert expected_estimate(3, None) == pytest.approx(2 / 3 * closed_form(LOGITS, MEANS))
    assert expected_estimate(3, 0.4) == pytest.approx(closed_form(LOGITS, MEANS))


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum()


def exact_step(k: int, drawn: np.ndarray, told: bool, **params: Any) -> np.ndarray:
    """The class's SGD step averaged over every draw of k arms from `drawn`, reward = mean.

    The class holds the policy softmax(LOGITS); it is `told` what the draws' chances were or not.
    """
    bandit = GradientBandit(4, lr=1.0, optimizer="sgd", **params)
    total = np.zeros(4)
    for chosen in itertools.product(range(4), repeat=k):
        arms = np.array(chosen)
        bandit.logits = LOGITS.copy()
        bandit._ema = 0.55
        bandit.update(arms, MEANS[arms], drawn[arms] if told else None)
        total += np.prod(drawn[arms]) * (bandit.logits - LOGITS)
    return total


def test_excluding_baseline_is_unbiased_up_to_draws_of_one_arm_alone() -> None:
    policy = softmax(LOGITS)
    for k in (2, 3, 5):
        # All k draws are arm a with chance policy[a]^k; they teach nothing.
        seen = 1 - policy ** (k - 1)
        part = policy * seen * (MEANS - policy @ MEANS)
        expected = part - policy * part.sum()
        assert exact_step(k, policy, told=False, baseline="excluding") == pytest.approx(expected)
    assert expected == pytest.approx(closed_form(LOGITS, MEANS), rel=0.05)


def test_excluding_baseline_by_hand() -> None:
    bandit = GradientBandit(3, lr=1.0, optimizer="sgd", baseline="excluding")
    bandit.update([0, 0, 1, 2], [1.0, 0.5, 0.5, 0.0])
    # pi = 1/3 each. Others' means: arm 0: 1/4; arm 1: 1/2; arm 2: 2/3. Advantages times 2/3:
    advantages = 2 / 3 * np.array([3 / 4 + 1 / 4, 0, -2 / 3])
    assert bandit.logits == pytest.approx((advantages - advantages.sum() / 3) / 4)


STALE = softmax(np.array([-0.5, 0.6, 0.4, 0.0]))


@pytest.mark.parametrize(
    ("baseline", "factor", "tolerance"),
    [("none", 1.0, 1e-12), ("ema", 1.0, 1e-12), ("including", 3 / 4, 1e-12), ("excluding", 1.0, 0.004)],
)
def test_late_updates_are_corrected_to_the_gradient_of_the_present_policy(
    baseline: str, factor: float, tolerance: float
) -> None:
    exact = factor * closed_form(LOGITS, MEANS)
    corrected = exact_step(4, STALE, told=True, baseline=baseline, max_weight=1e9)
    naive = exact_step(4, STALE, told=False, baseline=baseline)
    assert corrected == pytest.approx(exact, abs=tolerance)
    assert np.abs(naive - exact).max() > 0.02


def test_late_corrected_updates_of_the_class_in_simulation() -> None:
    rng = np.random.default_rng(3)
    bandit = GradientBandit(4, lr=1.0, optimizer="sgd", baseline="none", max_weight=1e9)
    steps = {True: np.empty((6000, 4)), False: np.empty((6000, 4))}
    for row in range(6000):
        arms = rng.choice(4, size=8, p=STALE)
        rewards = (rng.random(8) < MEANS[arms]).astype(float)
        for told, kept in steps.items():
            bandit.logits = LOGITS.copy()
            bandit.update(arms, rewards, STALE[arms] if told else None)
            kept[row] = bandit.logits - LOGITS
    exact = closed_form(LOGITS, MEANS)
    off = {
        told: np.abs(kept.mean(axis=0) - exact) / (kept.std(axis=0) / np.sqrt(6000))
        for told, kept in steps.items()
    }
    assert off[True].max() < 4
    assert off[False].max() > 15


def test_weights_are_capped() -> None:
    capped, plain = (
        GradientBandit(2, lr=1.0, optimizer="sgd", baseline="none", max_weight=2.0) for _ in range(2)
    )
    capped.update([0, 1], [1.0, 0.5], [0.01, 1.0])  # weights min(2, 50) and 1/2
    plain.update([0, 1], [1.0, 0.5])
    assert plain.logits == pytest.approx([(1 - 0.75) / 2, (0.5 - 0.75) / 2])
    assert capped.logits == pytest.approx([(2 - 1.125) / 2, (0.25 - 1.125) / 2])


def test_sgd_by_hand_for_two_steps() -> None:
    bandit = GradientBandit(2, lr=2.0, optimizer="sgd", baseline="none")
    bandit.update([0, 1], [1.0, 0.0])
    # pi = (1/2, 1/2): g = 1/2 ((1, 0) - pi) = (1/4, -1/4)
    assert bandit.logits == pytest.approx([0.5, -0.5])
    policy = 1 / (1 + np.exp(-1.0))
    bandit.update([0], [0.5])
    step = 2 * 0.5 * (1 - policy)
    assert bandit.logits == pytest.approx([0.5 + step, -0.5 - step])


def test_adam_by_hand_for_two_steps() -> None:
    bandit = GradientBandit(2, lr=0.1, optimizer="adam", baseline="none")
    bandit.update([0, 1], [1.0, 0.0])
    # The first step of Adam is lr * sign(g), up to eps.
    assert bandit.logits == pytest.approx([0.1, -0.1], rel=1e-6)
    g1 = 0.25
    pi = 1 / (1 + np.exp(-0.2))
    g2 = 1.0 * (0 - pi)
    bandit.update([1], [1.0])
    m = (0.9 * 0.1 * g1 + 0.1 * g2) / (1 - 0.9**2)
    v = (0.999 * 0.001 * g1**2 + 0.001 * g2**2) / (1 - 0.999**2)
    assert bandit.logits[0] == pytest.approx(0.1 + 0.1 * m / np.sqrt(v), rel=1e-6)


def test_ema_baseline_is_the_mean_of_earlier_updates() -> None:
    bandit = GradientBandit(2, lr=1.0, optimizer="sgd", baseline="ema", ema_decay=0.5)
    bandit.update([0], [0.8])  # its own mean: nothing to learn
    assert bandit.logits == pytest.approx([0.0, 0.0])
    bandit.update([0], [1.0])  # advantage 0.2
    assert bandit.logits == pytest.approx([0.1, -0.1])
    assert bandit._ema == pytest.approx(0.9)


def test_ema_without_decay_is_the_mean_of_all_earlier_evaluations() -> None:
    bandit = GradientBandit(2, baseline="ema", ema_decay=1.0)
    seen: list[float] = []
    for rewards in ([0.2], [0.9, 0.4], [1.0], [0.0, 0.0, 0.3]):
        bandit.update([0] * len(rewards), rewards)
        seen += rewards
        assert bandit._ema == pytest.approx(np.mean(seen))


@pytest.mark.parametrize("baseline", ["including", "excluding"])
def test_common_question_noise_cancels_in_the_mean_of_the_update(baseline: str) -> None:
    plain, hard = (GradientBandit(3, lr=0.5, optimizer="sgd", baseline=baseline) for _ in range(2))
    plain.update([0, 1, 2], [0.9, 0.7, 0.6])
    hard.update([0, 1, 2], [0.6, 0.4, 0.3])
    assert hard.logits == pytest.approx(plain.logits)


def test_entropy_bonus_is_the_slope_of_the_entropy() -> None:
    bandit = GradientBandit(4, entropy_bonus=0.3)
    bandit.logits = LOGITS.copy()

    def entropy(logits: np.ndarray) -> float:
        policy = np.exp(logits) / np.exp(logits).sum()
        return float(-(policy * np.log(policy)).sum())

    slope = [(entropy(LOGITS + h) - entropy(LOGITS - h)) / 2e-5 for h in 1e-5 * np.eye(4)]
    silent = bandit.gradient(np.array([1]), np.array([0.0]))
    assert silent == pytest.approx(0.3 * np.array(slope), abs=1e-8)


def test_entropy_bonus_keeps_a_policy_from_collapsing() -> None:
    free, held = (GradientBandit(5, seed=1, entropy_bonus=bonus) for bonus in (0.0, 0.5))
    for bandit in (free, held):
        for _ in range(200):
            arms = bandit.select(20)
            bandit.update(arms, np.where(arms == 2, 1.0, 0.5))
    assert free.probabilities()[2] > 0.99
    assert 0.3 < held.probabilities()[2] < 0.8


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-800, 800), min_size=2, max_size=20))
def test_policy_is_finite_whatever_the_logits(logits: list[float]) -> None:
    bandit = GradientBandit(len(logits), entropy_bonus=0.1)
    bandit.logits = np.array(logits)
    assert bandit.probabilities().sum() == pytest.approx(1)
    bandit.update(bandit.select(3), [0.0, 0.5, 1.0])
    assert np.isfinite(bandit.logits).all()


def test_ranking_breaks_equal_logits_by_mean_reward_and_puts_the_untried_last() -> None:
    bandit = GradientBandit(4, lr=0.1, optimizer="sgd")
    bandit.update([1], [0.0])
    bandit.update([3], [1.0])
    assert bandit.logits.tolist() == [0.0] * 4
    assert bandit.ranking(9).tolist() == [3, 1, 0, 2]
