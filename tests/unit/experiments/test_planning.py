"""What the planner promises, against hand-computed values, simulation and the real algorithms."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.bandits import BANDITS, make_bandit
from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.bandit.gains import (
    even_gain,
    expected_maximum,
    features_gain,
    halving_gain,
    policy_ratio,
    top_excess,
)
from rlpersona.experiments.bandit.planning import advise, anything_known, plan, plan_for
from rlpersona.report.plan import plan_lines
from rlpersona.stats import null_maximum
from rlpersona.types import Persona


def test_expected_maxima_of_normals() -> None:
    exact = {1: 0.0, 2: 1 / math.sqrt(math.pi), 3: 1.5 / math.sqrt(math.pi), 10: 1.5387527308}
    for arms, value in exact.items():
        assert expected_maximum(arms) == pytest.approx(value, abs=1e-6)
    # Harter (1961) ends at 400; the 10,000 of the benchmark against simulation.
    best = np.random.default_rng(0).normal(size=(400, 10_000)).max(axis=1)
    assert expected_maximum(10_000) == pytest.approx(best.mean(), abs=4 * best.std() / 20)


def test_the_leaderboard_of_the_originals() -> None:
    found = plan(2174, 2174 * 500, 400, 5)
    assert found.per_arm == 500
    assert found.null_maximum == pytest.approx(0.075, abs=0.002)
    assert found.null_line is not None
    assert found.null_maximum < found.null_line < 0.1


def test_reinforce_as_the_originals_ran_it_stays_uniform() -> None:
    found = plan(2174, 5000, 400, 5, arms_per_round=5, questions_per_round=10)
    assert found.policy_ratio == pytest.approx(1.008, abs=0.003)
    assert found.algorithm == "halving"
    assert not found.enough


@pytest.mark.parametrize(
    ("arms", "rounds", "k", "m", "lr"), [(2174, 100, 5, 10, 0.1), (50, 200, 10, 8, 0.3)]
)
def test_the_policy_ratio_is_what_the_real_class_reaches(
    arms: int, rounds: int, k: int, m: int, lr: float
) -> None:
    ratios = []
    for seed in range(20):
        rng = np.random.default_rng([seed, 1])
        bandit = make_bandit("reinforce", arms, seed, lr=lr, optimizer="sgd")
        for _ in range(rounds):
            drawn = np.repeat(bandit.select(k), m)
            bandit.update(drawn, (rng.random(k * m) < 0.6).astype(float))
        ratios.append(bandit.probabilities().max() * arms)
    expected = policy_ratio(arms, rounds * k * m, 0.6, k, m, lr)
    assert math.log(expected) == pytest.approx(np.log(ratios).mean(), rel=0.15)


def test_even_allocation_by_hand_and_by_simulation() -> None:
    # Two arms, one evaluation: Beta(1, 1) accuracies; the best count is 1 with chance 3/4.
    uniform = math.sqrt(1 / 12)
    assert top_excess(2, 1, uniform, 0.5) == pytest.approx(3 / 4 - 1 / 2)
    assert even_gain(2, 2, uniform, 0.5) == pytest.approx((3 / 4 - 1 / 2) / 3)
    rng = np.random.default_rng(3)
    truth = rng.normal(0.6, 0.05, (4000, 30))
    counts = rng.binomial(40, truth) + rng.random(truth.shape) / 2  # ties at random
    gains = truth[np.arange(4000), counts.argmax(axis=1)] - 0.6
    error = gains.std() / math.sqrt(4000)
    assert even_gain(30, 1200, 0.05, 0.6) == pytest.approx(gains.mean(), abs=4 * error + 0.001)


def test_even_allocation_has_the_normal_limit() -> None:
    spread, n = 0.02, 5000
    rho = math.sqrt(spread**2 / (spread**2 + 0.24 / n))
    limit = spread * rho * expected_maximum(100)
    assert even_gain(100, 100 * n, spread, 0.6) == pytest.approx(limit, rel=0.02)


def test_without_a_spread_the_top_is_the_null_maximum() -> None:
    assert top_excess(300, 100, 1e-4, 0.35) == pytest.approx(null_maximum(300, 100, 0.35), abs=1e-4)


@pytest.mark.parametrize(("arms", "budget", "block"), [(32, 3200, 5), (64, 1280, 4), (300, 400, 2)])
def test_simulated_halving_is_the_real_class(arms: int, budget: int, block: int) -> None:
    gains = []
    for seed in range(400):
        rng = np.random.default_rng([seed, 2])
        truth = rng.normal(0.6, 0.08, arms)
        bandit = make_bandit("halving", arms, seed, budget=budget, questions=block)
        while not bandit.finished:
            drawn = np.repeat(bandit.select(arms), block)
            bandit.update(drawn, (rng.random(len(drawn)) < truth[drawn]).astype(float))
        gains.append(truth[bandit.ranking(1)[0]] - 0.6)
    error = np.std(gains) / 20
    expected = halving_gain(arms, budget, 0.08, 0.6, block)
    assert expected == pytest.approx(np.mean(gains), abs=4.5 * error)


def test_more_money_finds_more_and_nobody_beats_the_best() -> None:
    for gain in (
        lambda n: even_gain(500, n, 0.02, 0.6),
        lambda n: halving_gain(500, n, 0.02, 0.6),
        lambda n: features_gain(500, n, 0.02, 0.6, 0.5),
    ):
        small, middle, large = gain(1000), gain(20_000), gain(1_000_000)
        assert 0 <= small < middle < large <= 0.02 * expected_maximum(500) * 1.03


def test_features_that_explain_more_help_more() -> None:
    gains = [features_gain(2000, 40_000, 0.02, 0.6, share) for share in (0.01, 0.5, 0.95)]
    assert gains[0] < gains[1] < gains[2]
    assert gains[1] > halving_gain(2000, 40_000, 0.02, 0.6)


def test_the_algorithm_with_features_gains_what_its_sketch_says_or_a_little_more() -> None:
    arms, budget, gains = 3000, 60_000, []
    for seed in range(16):
        rng = np.random.default_rng([seed, 6])
        features = rng.normal(size=(arms, 32))
        told = features @ rng.normal(size=32)
        truth = 0.6 + 0.02 * math.sqrt(0.5) * (told / told.std() + rng.normal(size=arms))
        bandit = make_bandit("hierarchical", arms, seed, features=features, budget=budget, questions=10)
        while not bandit.finished and len(drawn := np.repeat(bandit.select(arms), 10)):
            bandit.update(drawn, (rng.random(len(drawn)) < truth[drawn]).astype(float))
        gains.append(truth[bandit.ranking(1)[0]] - 0.6)
    sketch, error = features_gain(arms, budget, 0.02, 0.6, 0.5, 10), float(np.std(gains)) / 4
    assert sketch - 3 * error < np.mean(gains) < 1.2 * sketch + 3 * error


def test_few_questions_limit_what_any_budget_can_find() -> None:
    assert halving_gain(100, 10**6, 0.02, 0.6, 1, 50) < 0.6 * halving_gain(100, 10**6, 0.02, 0.6)
    assert even_gain(100, 10**6, 0.02, 0.6, 50) == even_gain(100, 5000, 0.02, 0.6)


def test_the_advice_follows_the_expected_gains() -> None:
    assert plan(10_000, 100_000, 400, 5, explained=0.5).algorithm == "hierarchical"
    assert plan(10_000, 100_000, 400, 5).algorithm == "halving"
    starved = plan(10_000, 5000, 400, 5)
    assert starved.algorithm == "halving"
    assert "89 personas drawn at random" in starved.reason  # 89 * ceil(log2 89) <= 625 passes
    assert starved.null_maximum is None
    assert plan(1, 100, 400, 1).algorithm == "uniform"


def test_what_is_advised_exists() -> None:
    assert {"uniform", "halving", "hierarchical"} <= set(BANDITS)


def test_the_bars_of_the_benchmark_are_within_reach() -> None:
    """10,000 arms, half of the variance explained: the gains that the algorithms are held to."""
    for spread, budget, bar in [(0.01, 10**5, 0.024), (0.01, 10**6, 0.035), (0.02, 10**5, 0.065)]:
        assert features_gain(10_000, budget, spread, 0.6, 0.5) > bar


def test_a_plan_at_ten_thousand_arms_is_fast() -> None:
    began = time.process_time()
    plan(10_000, 1_000_000, 400, 5)
    assert time.process_time() - began < 3


def test_fewer_winners_and_more_fresh_questions_confirm_smaller_gains() -> None:
    gains = [plan(50, 5000, n, w).detectable for n, w in [(400, 10), (400, 1), (4000, 1)]]
    assert gains[0] > gains[1] > gains[2]
    assert plan(50, 5000, 2, 10).detectable == math.inf


def test_a_config_is_planned_with_its_own_numbers() -> None:
    numbers = {"rounds": 10, "arms_per_round": 4, "questions_per_round": 5}
    config = BanditConfig(params={"lr": 0.5, "optimizer": "sgd"}, **numbers)
    found = plan_for(config, 3, 100, 40, spread=0.03)
    assert (found.arms, found.evaluations, found.questions_fresh, found.winners) == (3, 200, 40, 3)
    assert (found.lr, found.spread, found.level) == (0.5, 0.03, 0.95)
    assert plan_for(config, 3, 100, 40) == plan_for(config, 3, 100, 40)
    assert plan_for(config, 3, 100, 40).policy_ratio > 1


@pytest.mark.parametrize(
    "changes", [{}, {"params": {"lr": 0.15}}, {"algorithm": "halving"}, {"algorithm": "thompson"}]
)
def test_a_policy_that_does_not_step_by_sgd_is_not_judged_by_it(changes: dict[str, Any]) -> None:
    found = plan_for(BanditConfig(rounds=10, **changes), 60, 100, 40)
    assert found.policy_ratio is found.lr is None
    assert "SGD" not in " ".join(plan_lines(found))


def test_hierarchical_is_advised_only_where_something_is_known() -> None:
    budget = {"arms": 10_000, "evaluations": 5000, "questions_fresh": 400, "winners": 5}
    assert "hierarchical" in plan(**budget).reason
    assert "hierarchical" not in plan(**budget, known=False).reason
    claimed = plan(10_000, 100_000, 400, 5, explained=0.5, known=False)
    assert claimed.algorithm == "halving"
    nobody = [Persona("A", "You are A.", group="scholar"), Persona("B", None)]
    assert not anything_known(nobody)
    for told in ({"field": "law"}, {"era": "Modern"}, {"birth_year": 0}, {"fame": 0.0}):
        assert anything_known([*nobody, Persona("C", None, **told)])


def test_gains_of_nothing_have_no_sign() -> None:
    _, reason = advise(10, 10, -1e-6, 1e-5, 0.0, 0.0)
    assert "0.0 points expected, against 0.0 points" in reason
    assert advise(1, 1, 0.0, 0.0, 0.0, 0.0)[1] == "One persona leaves nothing to choose."


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 60), st.integers(1, 500), st.integers(1, 12), st.floats(0.001, 0.2))
def test_any_small_search_has_a_plan(arms: int, evaluations: int, block: int, spread: float) -> None:
    found = plan(arms, evaluations, 10, 3, spread, questions_per_round=block)
    assert all(math.isfinite(g) for g in (found.gain_even, found.gain_halving, found.gain_features))
    assert 1 <= found.policy_ratio < 1.5


@pytest.mark.parametrize(
    "wrong", [{"arms": 0}, {"evaluations": 0}, {"spread": 0.0}, {"spread": 0.5}, {"explained": 1.0}]
)
def test_searches_that_are_none(wrong: dict[str, float]) -> None:
    numbers = {"arms": 10, "evaluations": 100, "questions_fresh": 40, "winners": 2, **wrong}
    with pytest.raises(ConfigError):
        plan(**numbers)  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        plan(10, 100, 40, 2, p=1.0)
