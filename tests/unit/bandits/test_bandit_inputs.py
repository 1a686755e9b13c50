"""Everything that a bandit refuses, and the class of the refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlpersona.bandits import Bandit, make_bandit
from rlpersona.errors import ConfigError, DataError

NAMES: list[tuple[str, dict[str, Any]]] = [
    ("uniform", {}),
    ("greedy", {}),
    ("epsilon-greedy", {}),
    ("ucb", {}),
    ("ucbe", {"budget": 99}),
    ("exp3", {}),
    ("probability", {}),
    ("reinforce", {}),
    ("thompson", {}),
    ("halving", {"budget": 99}),
]
every_name = pytest.mark.parametrize(("name", "params"), NAMES)


@every_name
@pytest.mark.parametrize("arms", [0, -1, 2.0, "3", None, True])
def test_arms(name: str, params: dict[str, Any], arms: Any) -> None:
    with pytest.raises(ConfigError, match="arms="):
        make_bandit(name, arms, **params)


@every_name
@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_seed(name: str, params: dict[str, Any], seed: Any) -> None:
    with pytest.raises(ConfigError, match="seed="):
        make_bandit(name, 3, seed, **params)


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        *(("reinforce", "lr", value) for value in (0, -0.1, float("nan"), float("inf"), "0.1", True)),
        ("reinforce", "optimizer", "rmsprop"),
        *(("reinforce", "baseline", value) for value in ("mean", "round", None)),
        *(("reinforce", "ema_decay", value) for value in (-0.1, 1.01)),
        *((name, "max_weight", 0.99) for name in ("reinforce", "probability")),
        ("greedy", "initial", -0.1),
        *(("epsilon-greedy", "epsilon", value) for value in (-0.1, 1.1, None)),
        ("ucb", "c", -1),
        *(("ucbe", "budget", value) for value in (0, 1.5)),
        ("ucbe", "exploration", -1),
        *(("exp3", "gamma", value) for value in (0, 1.1)),
        *(("probability", param, 0) for param in ("lr", "floor")),
        ("reinforce", "entropy_bonus", -1e-9),
        *(("thompson", param, 0) for param in ("prior_successes", "prior_failures")),
        *(("halving", "budget", value) for value in (0, 99.0, None)),
        ("halving", "questions", 0),
        ("halving", "mode", "stale"),
    ],
)
def test_parameters(name: str, param: str, value: Any) -> None:
    params = {**dict(NAMES)[name], param: value}
    with pytest.raises(ConfigError, match=f"{param}=") as caught:
        make_bandit(name, 3, **params)
    assert caught.value.hint


def test_unknown_and_missing() -> None:
    with pytest.raises(ConfigError, match="unknown bandit algorithm 'thomson'") as caught:
        make_bandit("thomson", 3)
    assert caught.value.hint == "Did you mean 'thompson'?"
    with pytest.raises(ConfigError, match="reinforce has no parameter 'entropy_bonu'") as caught:
        make_bandit("reinforce", 3, entropy_bonu=1)
    assert caught.value.hint == "Did you mean 'entropy_bonus'?"
    for name in ("halving", "ucbe"):
        with pytest.raises(ConfigError, match=f"{name} needs budget"):
            make_bandit(name, 3)


def test_a_budget_that_compares_nothing() -> None:
    with pytest.raises(ConfigError, match="two arms"):
        make_bandit("halving", 10, budget=9, questions=5)


@every_name
@pytest.mark.parametrize("k", [0, -3, 1.5, None])
def test_k_and_n(name: str, params: dict[str, Any], k: Any) -> None:
    bandit = make_bandit(name, 3, **params)
    with pytest.raises(ConfigError, match="k="):
        bandit.select(k)
    with pytest.raises(ConfigError, match="n="):
        bandit.ranking(k)


@every_name
@pytest.mark.parametrize(
    ("arms", "rewards"),
    [
        ([0, 1], [1.0]),
        ([[0, 1]], [[1.0, 0.0]]),
        (0, 1.0),
        ([3], [1.0]),
        ([-1], [1.0]),
        ([0.0], [1.0]),
        ([True], [1.0]),
        ([0], [1.0001]),
        ([0], [-0.1]),
        ([0], [float("nan")]),
        ([0], [float("inf")]),
        ([0], ["1"]),
        ([0], [None]),
    ],
)
def test_updates_are_refused_whole(name: str, params: dict[str, Any], arms: Any, rewards: Any) -> None:
    bandit = make_bandit(name, 3, **params)
    bandit.select(3)
    before = bandit.state_dict()
    with pytest.raises(DataError) as caught:
        bandit.update(arms, rewards)
    assert caught.value.hint
    assert bandit.state_dict() == before


@every_name
@pytest.mark.parametrize(
    "chances", [[0.5], [0.5, 0.0], [0.5, 1.1], [0.5, float("nan")], [[0.5, 0.5]], ["1", "1"]]
)
def test_chances(name: str, params: dict[str, Any], chances: Any) -> None:
    bandit = make_bandit(name, 3, **params)
    bandit.select(3)
    before = bandit.state_dict()
    with pytest.raises(DataError, match="chances") as caught:
        bandit.update([0, 1], [1.0, 0.0], chances)
    assert caught.value.hint
    assert bandit.state_dict() == before


@every_name
def test_states(name: str, params: dict[str, Any]) -> None:
    bandit = make_bandit(name, 3, **params)
    state = bandit.state_dict()
    with pytest.raises(DataError, match="with 3 arms, not of"):
        make_bandit(name, 4, **params).load_state_dict(state)
    with pytest.raises(DataError, match="'other'"):
        bandit.load_state_dict({**state, "name": "other"})
    for key in state.keys() - {"name", "arms", "ema"}:
        with pytest.raises(DataError, match="broken"):
            bandit.load_state_dict({**state, key: [1]})
        with pytest.raises(DataError, match="broken"):
            bandit.load_state_dict({other: value for other, value in state.items() if other != key})


def test_an_algorithm_needs_its_parts() -> None:
    class Half(Bandit):
        def probabilities(self) -> Any:
            return np.ones(1)

    with pytest.raises(TypeError, match="_select"):
        Half(1)  # type: ignore[abstract]
