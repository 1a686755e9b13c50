"""The exact chance to recommend a wrong arm, by enumeration of every outcome and every tie.

Arm 0 is the best one. An outcome is the number of successes of each arm in each stage.
"""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest

from rlpersona.bandits import make_bandit
from rlpersona.bandits.halving import SequentialHalving
from rlpersona.bandits.uniform import UniformAllocation

RUNS = 4000


def binomial(successes: int, trials: int, mean: float) -> float:
    return comb(trials, successes) * mean**successes * (1 - mean) ** (trials - successes)


def exact_uniform(means: list[float], passes: int) -> float:
    """P(arm 0 is not taken), a tie at the top being drawn."""
    right = 0.0
    for table in itertools.product(range(passes + 1), repeat=len(means)):
        if table[0] == max(table):
            odds = np.prod([binomial(s, passes, m) for s, m in zip(table, means, strict=True)])
            right += float(odds) / table.count(table[0])
    return 1 - right


@pytest.mark.parametrize(
    ("means", "passes"), [([0.7, 0.5], 4), ([0.6, 0.5, 0.4], 3), ([0.8, 0.6, 0.5, 0.3], 2)]
)
def test_uniform_allocation_driven_through_every_outcome(means: list[float], passes: int) -> None:
    error = 0.0
    for outcome in itertools.product((0, 1), repeat=len(means) * passes):
        table = np.array(outcome).reshape(passes, len(means))
        bandit = UniformAllocation(len(means), seed=3)
        for row in table:
            arms = bandit.select(len(means))
            bandit.update(arms, row[arms])
        odds = np.prod(np.where(table, means, 1 - np.array(means)))
        error += float(odds) * (1 - bandit.probabilities()[0])
    assert error == pytest.approx(exact_uniform(means, passes))


def exact_halving(means: list[float], budget: int, fresh: bool) -> float:
    """P(arm 0 is not the last), with stages of equal shares of what is left, in whole passes."""

    def onward(alive: tuple[int, ...], won: dict[int, int], left: int, stages: int) -> float:
        if len(alive) == 1:
            return float(alive[0] != 0)
        passes = left // stages // len(alive)
        before = dict.fromkeys(alive, 0) if fresh else won
        error = 0.0
        for outcome in itertools.product(range(passes + 1), repeat=len(alive)):
            odds = 1.0
            total = {}
            for arm, successes in zip(alive, outcome, strict=True):
                odds *= binomial(successes, passes, means[arm])
                total[arm] = before[arm] + successes
            kept = (len(alive) + 1) // 2
            for survivors, chance in halves(alive, total, kept):
                lost = 1.0
                if 0 in survivors:
                    lost = onward(survivors, total, left - passes * len(alive), stages - 1)
                error += odds * chance * lost
        return error

    arms = tuple(range(len(means)))
    return onward(arms, dict.fromkeys(arms, 0), budget, (len(means) - 1).bit_length())


def halves(
    alive: tuple[int, ...], total: dict[int, int], kept: int
) -> list[tuple[tuple[int, ...], float]]:
    """The sets that may stay and their chances: a draw among those that tie at the last place."""
    last = sorted((total[arm] for arm in alive), reverse=True)[kept - 1]
    sure = [arm for arm in alive if total[arm] > last]
    tied = [arm for arm in alive if total[arm] == last]
    draws = list(itertools.combinations(tied, kept - len(sure)))
    return [((*sure, *draw), 1 / len(draws)) for draw in draws]


@pytest.mark.parametrize("mode", ["cumulative", "fresh"])
@pytest.mark.parametrize(
    ("means", "budget"),
    [([0.7, 0.5], 8), ([0.6, 0.5, 0.4], 13), ([0.8, 0.6, 0.5, 0.3], 16), ([0.6, 0.6, 0.3, 0.3], 8)],
)
def test_sequential_halving(means: list[float], budget: int, mode: str) -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for seed in range(RUNS):
        bandit = SequentialHalving(len(means), seed, budget=budget, mode=mode)
        while not bandit.finished:
            arms = bandit.select(len(means))
            bandit.update(arms, (rng.random(len(arms)) < np.array(means)[arms]).astype(float))
        wrong += int(bandit.ranking(1)[0] != 0)
    exact = exact_halving(means, budget, fresh=mode == "fresh")
    print(f"{means} budget {budget} {mode}: exact {exact:.4f}, simulated {wrong / RUNS:.4f}")
    assert abs(wrong / RUNS - exact) < 3.5 * np.sqrt(exact * (1 - exact) / RUNS)


def test_the_programs_by_hand() -> None:
    # One evaluation each of two arms: wrong if only arm 1 wins, half wrong if they tie.
    by_hand = 0.3 * 0.5 + 0.5 * (0.7 * 0.5 + 0.3 * 0.5)
    assert exact_uniform([0.7, 0.5], 1) == pytest.approx(by_hand)
    assert exact_halving([0.7, 0.5], 2, fresh=True) == pytest.approx(by_hand)
    assert exact_halving([0.7, 0.5], 8, fresh=False) == pytest.approx(exact_uniform([0.7, 0.5], 4))


def test_halving_below_one_evaluation_an_arm_errs_as_often_as_the_best_is_left_out() -> None:
    """Of 30 arms a budget of 8 pays for 4, and rewards without noise find the best of them."""
    wins = 0
    for seed in range(RUNS):
        bandit = make_bandit("halving", 30, seed, budget=8)
        while not bandit.finished:
            arms = bandit.select(30)
            bandit.update(arms, 1 - arms / 30)
        wins += int(bandit.ranking(1)[0] == 0)
    assert wins / RUNS == pytest.approx(4 / 30, abs=3.5 * np.sqrt(4 / 30 * 26 / 30 / RUNS))
