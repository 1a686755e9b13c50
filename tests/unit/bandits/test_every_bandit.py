"""What holds for every algorithm."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.bandits import BANDITS, Bandit
from rlpersona.bandits import make_bandit as make_any

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("uniform", {}),
    ("greedy", {}),
    ("epsilon-greedy", {}),
    ("epsilon-greedy", {"epsilon": 0.3, "initial": 0.5}),
    ("ucb", {}),
    ("ucb", {"c": 0.1}),
    ("ucbe", {"budget": 6000}),
    ("exp3", {}),
    ("probability", {}),
    ("reinforce", {}),
    ("reinforce", {"baseline": "excluding"}),
    ("reinforce", {"optimizer": "sgd", "lr": 3.0, "baseline": "ema"}),
    ("reinforce", {"optimizer": "sgd", "lr": 3.0, "baseline": "ema", "ema_decay": 1.0}),
    ("reinforce", {"baseline": "none", "entropy_bonus": 0.01, "lr": 0.1}),
    ("thompson", {}),
    ("halving", {"budget": 6000, "questions": 5}),
    ("halving", {"budget": 6000, "questions": 5, "mode": "fresh"}),
]
every_variant = pytest.mark.parametrize(("name", "params"), VARIANTS)


def make_bandit(name: str, arms: int, seed: int = 0, **params: Any) -> Bandit:
    """With random features, where the algorithm asks for some."""
    if BANDITS[name].contextual:
        params["features"] = np.random.default_rng(arms).normal(size=(arms, 3))
    return make_any(name, arms, seed, **params)


def play(bandit: Bandit, means: np.ndarray, k: int, questions: int, rounds: int, seed: int) -> None:
    """Binary rewards on common questions: a block's questions are as hard for all its arms."""
    for _ in range(rounds):
        arms = bandit.select(k)
        if bandit.finished:
            return
        ease = np.random.default_rng([seed, bandit.block]).normal(0, 0.1, questions)
        luck = np.random.default_rng([seed, 1, bandit.updates])
        chance = means[arms][:, None] + ease
        rewards = (luck.random(chance.shape) < chance).astype(float)
        bandit.update(np.repeat(arms, questions), rewards.ravel())


def test_every_algorithm_is_tested_here() -> None:
    own_tests = {"per-question"}  # needs contexts: see test_contextual.py
    plain = {name for name, algorithm in BANDITS.items() if not algorithm.contextual} - own_tests
    assert plain <= {name for name, _ in VARIANTS}


@every_variant
def test_planted_best_arm_is_found(name: str, params: dict[str, Any]) -> None:
    # Without a reward baseline the gradient is so noisy that it takes two and a half times as long.
    rounds = 300 if params.get("baseline") == "none" else 120
    found, trust = 0, []
    for best in range(20):
        means = np.full(20, 0.5)
        means[best] = 0.75
        bandit = make_bandit(name, 20, best, **params)
        play(bandit, means, k=10, questions=5, rounds=2000 if name == "halving" else rounds, seed=best)
        assert bandit.counts.sum() <= rounds * 50
        found += int(bandit.ranking(1)[0]) == best
        trust.append(bandit.probabilities()[best])
    assert found >= 19
    assert np.mean(trust) > 0.3  # uniform is 0.05


@every_variant
def test_probabilities_and_rankings_are_sound(name: str, params: dict[str, Any]) -> None:
    bandit = make_bandit(name, 13, 2, **params)
    for _ in range(4):
        policy = bandit.probabilities()
        assert policy.shape == (13,)
        assert policy.min() >= 0
        assert policy.sum() == pytest.approx(1, abs=1e-12)
        assert sorted(bandit.ranking(99)) == list(range(13))
        assert bandit.ranking(5).tolist() == bandit.ranking(13)[:5].tolist()
        arms = bandit.select(6)
        assert arms.dtype == np.int64
        assert len(arms) <= 6
        bandit.update(arms, np.linspace(0, 1, len(arms)))


@every_variant
def test_running_sums_hold_each_evaluation(name: str, params: dict[str, Any]) -> None:
    bandit = make_bandit(name, 4, **params)
    bandit.select(4)
    bandit.update([2, 0, 2, 2], [1.0, 0.5, 0.0, 0.25])
    assert bandit.counts.tolist() == [1, 0, 3, 0]
    assert bandit.sums.tolist() == [0.5, 0, 1.25, 0]
    assert bandit.means()[[0, 2]] == pytest.approx([0.5, 1.25 / 3])
    assert np.isnan(bandit.means()[[1, 3]]).all()


@every_variant
def test_an_empty_update_closes_a_round_and_teaches_nothing(name: str, params: dict[str, Any]) -> None:
    bandit = make_bandit(name, 4, **params)
    before = bandit.probabilities()
    bandit.select(4)
    bandit.update([], [])
    bandit.select(4)
    assert bandit.block == 1
    assert np.array_equal(bandit.probabilities(), before)
    assert bandit.counts.sum() == 0


@settings(max_examples=60, deadline=None)
@given(
    variant=st.sampled_from(VARIANTS),
    arms=st.integers(1, 12),
    seed=st.integers(0, 2**64),
    history=st.lists(st.tuples(st.integers(1, 8), st.lists(st.floats(0, 1), max_size=8)), max_size=8),
    in_flight=st.booleans(),
)
def test_a_saved_bandit_goes_on_bit_for_bit(
    variant: tuple[str, dict[str, Any]],
    arms: int,
    seed: int,
    history: list[tuple[int, list[float]]],
    in_flight: bool,
) -> None:
    name, params = variant
    first = make_bandit(name, arms, seed, **params)
    for k, rewards in history:
        chosen = first.select(k)[: len(rewards)]
        if not first.finished:
            first.update(chosen, rewards[: len(chosen)])
    if in_flight:
        first.select(2)
    second = make_bandit(name, arms, seed, **params)
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert second.state_dict() == first.state_dict()
    if in_flight and not first.finished:
        first.update([], [])
        second.update([], [])
    for _ in range(4):
        chosen = first.select(5)
        assert second.select(5).tolist() == chosen.tolist()
        assert second.block == first.block
        if not first.finished:
            for bandit in (first, second):
                bandit.update(chosen, np.linspace(0, 1, len(chosen)))
    assert second.probabilities().tolist() == first.probabilities().tolist()
    assert second.ranking(arms).tolist() == first.ranking(arms).tolist()


@every_variant
def test_the_seed_decides_everything(name: str, params: dict[str, Any]) -> None:
    def trace(seed: int) -> list[int]:
        bandit = make_bandit(
            name, 50, seed, **{**params, **({"budget": 200} if name == "halving" else {})}
        )
        chosen = []
        for _ in range(4):
            arms = bandit.select(9)
            chosen += arms.tolist()
            bandit.update(arms, arms / 50)
        return chosen

    assert trace(1) == trace(1) != trace(2)


@every_variant
def test_ten_thousand_arms_and_a_hundred_thousand_evaluations(name: str, params: dict[str, Any]) -> None:
    bandit = make_bandit(
        name, 10_000, 1, **{**params, **({"budget": 100_000} if "budget" in params else {})}
    )
    rng = np.random.default_rng(0)
    while bandit.counts.sum() < 100_000:
        arms = bandit.select(200)
        if bandit.finished:
            break
        pulled = np.repeat(arms, 5)
        bandit.update(pulled, (rng.random(len(pulled)) < 0.6).astype(float))
        assert bandit.probabilities().sum() == pytest.approx(1)
    assert bandit.counts.sum() > 95_000
    assert len(bandit.ranking(10)) == 10
    assert bandit.state_dict()["arms"] == 10_000


LATE: list[tuple[str, dict[str, Any]]] = [
    ("reinforce", {}),
    ("reinforce", {"baseline": "excluding"}),
    ("exp3", {}),
    ("probability", {}),
]


@pytest.mark.parametrize(("name", "params"), LATE)
def test_chances_of_the_present_policy_change_nothing(name: str, params: dict[str, Any]) -> None:
    plain, told = (make_bandit(name, 6, 1, **params) for _ in range(2))
    for _ in range(20):
        arms = plain.select(8)
        assert told.select(8).tolist() == arms.tolist()
        rewards = np.linspace(0, 1, 6)[arms]
        chances = told.chances(arms)
        assert chances is not None
        assert chances == pytest.approx(told.probabilities()[arms])
        plain.update(arms, rewards)
        told.update(arms, rewards, chances)
        assert told.state_dict() == plain.state_dict()
    told.update(arms, rewards, chances)
    plain.update(arms, rewards)
    assert told.state_dict() != plain.state_dict(), "older chances do count"


@every_variant
def test_only_random_policies_tell_their_chances(name: str, params: dict[str, Any]) -> None:
    bandit = make_bandit(name, 6, 1, **params)
    told = bandit.chances(bandit.select(6))
    assert (told is not None) == (name in {late for late, _ in LATE})
