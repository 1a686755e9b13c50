"""What holds for the algorithms that know features of the arms."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.bandits import BANDITS, Bandit, make_bandit
from rlpersona.errors import ConfigError, DataError

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("linear-thompson", {}),
    ("ridge-halving", {"budget": 6000, "questions": 5}),
    ("hierarchical", {"budget": 6000, "questions": 5}),
]
PLANNED = VARIANTS[1:]
every_variant = pytest.mark.parametrize(("name", "params"), VARIANTS)
every_planner = pytest.mark.parametrize(("name", "params"), PLANNED)


def build(name: str, params: dict[str, Any], arms: int = 30, seed: int = 0, d: int = 3) -> Bandit:
    features = np.random.default_rng(arms).normal(size=(arms, d))
    return make_bandit(name, arms, seed, features=features, **params)


def play(bandit: Bandit, means: np.ndarray, rounds: int, k: int = 10, questions: int = 5) -> list[int]:
    """Binary rewards on common questions; the number of evaluations of each selection."""
    sizes = []
    for _ in range(rounds):
        arms = bandit.select(k)
        if not len(arms):
            break
        ease = np.random.default_rng(bandit.block).normal(0, 0.1, questions)
        luck = np.random.default_rng([1, bandit.updates])
        rewards = luck.random((len(arms), questions)) < means[arms][:, None] + ease
        bandit.update(np.repeat(arms, questions), rewards.ravel().astype(float))
        sizes.append(len(arms) * questions)
    return sizes


def test_every_contextual_algorithm_is_tested_here() -> None:
    assert {name for name, cls in BANDITS.items() if cls.contextual} == {name for name, _ in VARIANTS}


@every_variant
def test_planted_best_arm_is_found(name: str, params: dict[str, Any]) -> None:
    found = 0
    for best in range(12):
        means = np.full(30, 0.5)
        means[best] = 0.75
        bandit = build(name, params, seed=best)
        play(bandit, means, rounds=4000 if "budget" in params else 150)
        found += int(bandit.ranking(1)[0]) == best
    # The ridge only passes on those whose features look good: here they say nothing, but top=256 > 30.
    assert found >= 11


@every_variant
def test_features_that_tell_are_used(name: str, params: dict[str, Any]) -> None:
    """2,000 arms, 4,000 evaluations: two each say nothing, the features do."""
    if "budget" in params:
        params = {**params, "budget": 4000}
    gains = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(2000, 5))
        told = features @ rng.normal(size=5)
        means = np.clip(0.5 + 0.05 * told / told.std(), 0, 1)
        bandit = make_bandit(name, 2000, seed, features=features, **params)
        play(bandit, means, rounds=80 if "budget" not in params else 4000)
        gains.append(means[bandit.ranking(1)[0]] - 0.5)
    assert np.mean(gains) > 0.07  # the best of all is about 0.17


@every_variant
def test_probabilities_and_rankings_are_sound(name: str, params: dict[str, Any]) -> None:
    bandit = build(name, params, arms=13)
    for _ in range(40):
        policy = bandit.probabilities()
        assert policy.shape == (13,)
        assert policy.min() >= 0
        assert policy.sum() == pytest.approx(1)
        assert sorted(bandit.ranking(99)) == list(range(13))
        if not play(bandit, np.full(13, 0.6), 20):
            break


@every_variant
def test_resume_bit_for_bit(name: str, params: dict[str, Any]) -> None:
    means = np.linspace(0.3, 0.8, 30)
    for rounds in (0, 7, 45):
        ours, other = build(name, params, seed=3), build(name, params, seed=3)
        play(ours, means, rounds)
        held = ours.select(10)  # in flight while the state is taken
        other.load_state_dict(json.loads(json.dumps(ours.state_dict())))
        for bandit in (ours, other):
            bandit.update(np.repeat(held, 5), np.tile([0.0, 1.0, 1.0, 0.5, 1.0], len(held)))
            play(bandit, means, 30)
        assert ours.ranking(30).tolist() == other.ranking(30).tolist()
        np.testing.assert_array_equal(ours.probabilities(), other.probabilities())
        assert ours.select(4).tolist() == other.select(4).tolist()


@every_variant
def test_without_any_features_the_best_arm_is_found(name: str, params: dict[str, Any]) -> None:
    """Nothing known of anybody: no columns, or columns that say the same of all."""
    means = np.full(30, 0.4)
    means[11] = 0.9
    for features in (np.zeros((30, 0)), np.ones((30, 2))):
        bandit = make_bandit(name, 30, features=features, **params)
        assert bandit.probabilities() == pytest.approx(np.full(30, 1 / 30), abs=0.06)
        play(bandit, means, rounds=4000 if "budget" in params else 100)
        assert bandit.ranking(1)[0] == 11


@every_variant
def test_several_selections_ahead(name: str, params: dict[str, Any]) -> None:
    bandit = build(name, params)
    means = np.full(30, 0.4)
    means[17] = 0.9
    spent = 0
    while not bandit.finished and spent < 6000:
        flight = [arms for arms in (bandit.select(8) for _ in range(4)) if len(arms)]
        for arms in flight[::-1]:
            rng = np.random.default_rng(spent)
            bandit.update(
                np.repeat(arms, 5),
                (rng.random(5 * len(arms)) < means.repeat(5).reshape(30, 5)[arms].ravel()).astype(float),
            )
            spent += 5 * len(arms)
        assert flight
    assert bandit.ranking(1)[0] == 17


@every_planner
@settings(max_examples=25, deadline=None)
@given(
    arms=st.integers(1, 40),
    budget=st.integers(2, 400),
    questions=st.integers(1, 6),
    k=st.integers(1, 50),
    d=st.integers(0, 4),
)
def test_budget_is_never_exceeded(
    name: str, params: dict[str, Any], arms: int, budget: int, questions: int, k: int, d: int
) -> None:
    params = {"budget": budget, "questions": questions}
    if budget < 2 * questions:
        with pytest.raises(ConfigError, match="budget"):
            build(name, params, arms, d=d)
        return
    bandit = build(name, params, arms, d=d)
    spent = sum(play(bandit, np.full(arms, 0.5), 10_000, k, questions))
    assert bandit.finished
    assert spent <= budget
    assert spent == bandit.counts.sum()
    assert not len(bandit.select(3))
    # What is left does not pay for a further pass of the stages, which are at most 11.
    assert budget - spent <= max(2, arms) * questions + questions


@every_planner
def test_arms_of_a_pass_share_a_block(name: str, params: dict[str, Any]) -> None:
    bandit = build(name, params)
    first = [bandit.select(12) for _ in range(3)]
    assert sorted(np.concatenate(first).tolist()) == list(range(30))
    assert bandit.block == 0
    again = bandit.select(12)
    assert bandit.block == 1
    assert again.tolist() == first[0].tolist()


@every_planner
def test_more_rewards_than_asked_for_are_refused(name: str, params: dict[str, Any]) -> None:
    bandit = build(name, params)
    with pytest.raises(DataError, match="0 selections"):
        bandit.update([0], [1.0])
    arms = bandit.select(4)
    with pytest.raises(DataError, match="evaluations"):
        bandit.update(np.repeat(arms, 6), np.ones(24))


@every_variant
def test_failures_are_survived(name: str, params: dict[str, Any]) -> None:
    bandit = build(name, params)
    for _ in range(2000):
        if not len(bandit.select(10)):
            break
        bandit.update([], [])
    assert np.isfinite(bandit.probabilities()).all()
    assert len(bandit.ranking(30)) == 30


@every_variant
@pytest.mark.parametrize(
    "features", [np.zeros(30), np.zeros((29, 2)), np.full((30, 1), np.nan)], ids=["flat", "few", "nan"]
)
def test_wrong_features(name: str, params: dict[str, Any], features: np.ndarray) -> None:
    with pytest.raises(DataError, match="features"):
        make_bandit(name, 30, features=features, **params)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("hierarchical", {"budget": 99, "share": 1.0}),
        ("hierarchical", {"budget": 99, "top": 1}),
        ("hierarchical", {"budget": 99, "design": 0}),
        ("hierarchical", {"budget": 99, "spread": 0.0}),
        ("hierarchical", {"budget": 0}),
        ("ridge-halving", {"budget": 99, "share": 0.0}),
        ("ridge-halving", {"budget": 99, "top": 1}),
        ("linear-thompson", {"explained": 1.0}),
    ],
)
def test_wrong_parameters(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=list(wrong)[-1]):
        build(name, wrong)


@every_variant
def test_a_broken_state_is_refused(name: str, params: dict[str, Any]) -> None:
    bandit = build(name, params)
    state = bandit.state_dict()
    missing = next(key for key in state if key in ("beliefs", "order"))
    with pytest.raises(DataError, match="broken"):
        build(name, params).load_state_dict({k: v for k, v in state.items() if k != missing})
