"""Two Bernoulli arms: the exact expected regret, by dynamic programming over all histories' counts.

The programs below know only the formulas of the policies, and give the chance of each arm as a function
of the arms' successes and evaluations. Dynamic programming carries the probability of every such state
forward; the classes are then simulated and have to agree within 3.5 standard errors.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import betaln

from rlpersona.bandits import make_bandit

MEANS = (0.7, 0.45)
HORIZON, RUNS = 20, 4000

State = tuple[int, int, int, int]
"""Successes and evaluations of arm 0, then of arm 1."""


def higher(first: float, second: float) -> float:
    """Chance of arm 0 where the higher index wins and a tie is drawn."""
    return 0.5 if first == second else float(first > second)


def greedy(state: State, initial: float = 1.0) -> float:
    s0, n0, s1, n1 = state
    return higher(s0 / n0 if n0 else initial, s1 / n1 if n1 else initial)


def ucb(state: State, c: float) -> float:
    s0, n0, s1, n1 = state
    if not n0 or not n1:
        return higher(not n0, not n1)
    log = np.log(n0 + n1)
    return higher(s0 / n0 + np.sqrt(c * log / n0), s1 / n1 + np.sqrt(c * log / n1))


def ucbe(state: State, a: float) -> float:
    s0, n0, s1, n1 = state
    if not n0 or not n1:
        return higher(not n0, not n1)
    return higher(s0 / n0 + np.sqrt(a / n0), s1 / n1 + np.sqrt(a / n1))


def thompson(state: State) -> float:
    """P(theta_0 > theta_1), both Beta(1 + s, 1 + n - s): the closed sum for whole parameters."""
    s0, n0, s1, n1 = state
    a0, b0, a1, b1 = 1 + s0, 1 + n0 - s0, 1 + s1, 1 + n1 - s1
    i = np.arange(a0)
    terms = betaln(a1 + i, b0 + b1) - np.log(b0 + i) - betaln(1 + i, b0) - betaln(a1, b1)
    return float(np.exp(terms).sum())


def exact_regret(chance: Callable[[State], float]) -> float:
    """Expected regret of the horizon, summed over every reachable state."""
    states: dict[State, float] = {(0, 0, 0, 0): 1.0}
    worse = 0.0
    for _ in range(HORIZON):
        following: dict[State, float] = defaultdict(float)
        for (s0, n0, s1, n1), weight in states.items():
            first = weight * chance((s0, n0, s1, n1))
            second = weight - first
            worse += second
            for won in (0, 1):
                p0, p1 = (mean if won else 1 - mean for mean in MEANS)
                if first:
                    following[s0 + won, n0 + 1, s1, n1] += first * p0
                if second:
                    following[s0, n0, s1 + won, n1 + 1] += second * p1
        states = following
    assert sum(states.values()) == pytest.approx(1)
    return worse * (MEANS[0] - MEANS[1])


CASES: list[tuple[str, dict[str, Any], Callable[[State], float]]] = [
    ("greedy", {}, greedy),
    ("greedy", {"initial": 0.5}, lambda state: greedy(state, 0.5)),
    ("epsilon-greedy", {"epsilon": 0.2}, lambda state: 0.1 + 0.8 * greedy(state)),
    ("ucb", {}, lambda state: ucb(state, 2.0)),
    ("ucb", {"c": 0.3}, lambda state: ucb(state, 0.3)),
    ("ucbe", {"budget": HORIZON, "exploration": 0.4}, lambda state: ucbe(state, 0.4)),
    ("thompson", {}, thompson),
]


@pytest.mark.parametrize(("name", "params", "chance"), CASES)
def test_regret_of_two_arms(name: str, params: dict[str, Any], chance: Callable[[State], float]) -> None:
    rng = np.random.default_rng(7)
    regrets = np.empty(RUNS)
    for run in range(RUNS):
        bandit = make_bandit(name, 2, run, **params)
        luck = rng.random(HORIZON)
        for step in range(HORIZON):
            arm = int(bandit.select(1)[0])
            bandit.update([arm], [float(luck[step] < MEANS[arm])])
        regrets[run] = bandit.counts[1] * (MEANS[0] - MEANS[1])
    exact = exact_regret(chance)
    print(f"{name} {params}: exact {exact:.4f}, simulated {regrets.mean():.4f}")
    assert abs(regrets.mean() - exact) < 3.5 * regrets.std() / np.sqrt(RUNS)
