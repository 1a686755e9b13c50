"""Who finds the best of 10,000 personas: simple regret of every algorithm at three budgets.

    python benchmarks/bandits.py [--quick] [--replicates 100] [--budgets 5000 100000] [--only NAME ...]

A persona's true accuracy is 0.60 plus normal noise of 1 or 2 points, of whose variance 32 features
explain half; an evaluation is a Bernoulli draw of its own. An algorithm spends its budget and names one
persona; its gain is that persona's true accuracy less 0.60. Every algorithm meets the same worlds. The
oracle knows all accuracies. "originals" is REINFORCE with SGD, learning rate 0.1 and 5 personas x 10
questions a round: 100 rounds at 5,000 evaluations. Algorithms that sample go through 100 rounds at each
budget; those that plan take as many as they ask for. Slow ones get fewer replicates. Bars, in points:
2.4 / 3.5 at a spread of 1 point (100,000 / 1,000,000 evaluations), 6.7 / 7.6 at 2 points.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt

from rlpersona.bandits import BANDITS, Bandit, make_bandit

ARMS, FEATURES, BASE = 10_000, 32, 0.60
BUDGETS = (5_000, 100_000, 1_000_000)
SPREADS = (0.01, 0.02)
ROUNDS = 100
PASS = 4096

Floats = npt.NDArray[np.float64]


def sampled(budget: int) -> tuple[int, int]:
    """A hundredth of the budget a round: as many arms as questions, about."""
    arms = max(1, round((budget / ROUNDS) ** 0.5))
    return arms, max(1, budget // ROUNDS // arms)


def passes(budget: int) -> tuple[int, int]:
    """Large selections, a few questions at a time, for those that go over all arms again and again."""
    return PASS, 5 if budget >= 50_000 else 1


def planned(budget: int) -> tuple[int, int]:
    """The same, with more questions at a time where there is more to spend."""
    return PASS, 20 if budget >= 500_000 else passes(budget)[1]


def original(budget: int) -> tuple[int, int]:
    """5 personas, 10 questions."""
    return 5, 10


@dataclass(frozen=True)
class Contender:
    """An algorithm with its parameters. `shape` gives (arms, questions) of a selection for a budget."""

    name: str
    algorithm: str
    params: Mapping[str, Any] = field(default_factory=dict)
    shape: Callable[[int], tuple[int, int]] = sampled
    replicates: float = 1.0
    """Share of the replicates, for what is slow."""


SLOW = 0.1
CONTENDERS = [
    Contender("originals: reinforce, SGD 5x10", "reinforce", {"optimizer": "sgd"}, original, SLOW),
    Contender("reinforce, Adam", "reinforce", {"lr": 0.1}),
    Contender("probability", "probability", {}),
    Contender("exp3", "exp3", {}),
    Contender("greedy, optimistic", "greedy", {}),
    Contender("epsilon-greedy", "epsilon-greedy", {}),
    Contender("ucb", "ucb", {}),
    Contender("ucbe", "ucbe", {}),
    Contender("thompson, Beta(1, 1)", "thompson", {}),
    Contender("thompson, Beta(60, 40)", "thompson", {"prior_successes": 60.0, "prior_failures": 40.0}),
    Contender("uniform", "uniform", {}, passes),
    Contender("halving", "halving", {}, passes),
    Contender("linear-thompson", "linear-thompson", {}, replicates=0.3),
    Contender("ridge-halving, top 256", "ridge-halving", {"top": 256}, planned),
    Contender("hierarchical", "hierarchical", {}, planned),
]


def world(seed: int, spread: float) -> tuple[Floats, Floats]:
    """Features (arms, 32) and true accuracies (arms,)."""
    rng = np.random.default_rng([seed, round(spread * 1e4)])
    features = rng.standard_normal((ARMS, FEATURES))
    slopes = rng.standard_normal(FEATURES)
    told = features @ slopes / np.linalg.norm(slopes)
    accuracy = BASE + spread * (told + rng.standard_normal(ARMS)) / 2**0.5
    return features, np.clip(accuracy, 0.0, 1.0)


def build(contender: Contender, seed: int, budget: int, questions: int, features: Floats) -> Bandit:
    """The algorithm; those that plan are told the budget, the contextual ones the features."""
    import inspect

    cls = BANDITS[contender.algorithm]
    offered = {"budget": budget, "questions": questions, "features": features}
    taken = inspect.signature(cls).parameters
    known = {name: value for name, value in offered.items() if name in taken}
    return make_bandit(contender.algorithm, ARMS, seed, **known, **contender.params)


def gain(contender: Contender, seed: int, spread: float, budget: int) -> float:
    """Points of accuracy over 0.60 of the persona that the algorithm names."""
    features, accuracy = world(seed, spread)
    arms_at_once, questions = contender.shape(budget)
    bandit = build(contender, seed, budget, questions, features)
    luck = np.random.default_rng([seed, 1])
    spent = 0
    while budget - spent >= questions and not bandit.finished:
        arms = bandit.select(min(arms_at_once, (budget - spent) // questions))
        right = luck.random((len(arms), questions)) < accuracy[arms][:, None]
        bandit.update(np.repeat(arms, questions), right.ravel().astype(np.float64))
        spent += right.size
    assert spent <= budget
    return float(100 * (accuracy[bandit.ranking(1)[0]] - BASE))


def rows(
    contenders: list[Contender], spread: float, budget: int, replicates: int
) -> Iterator[tuple[str, Floats, float]]:
    """Name, gain of each replicate and seconds per replicate, for the oracle and each contender."""
    best = [float(100 * (world(seed, spread)[1].max() - BASE)) for seed in range(replicates)]
    yield "oracle", np.array(best), 0.0
    for contender in contenders:
        slow = contender.replicates * (0.5 if contender.replicates < 1 and budget >= 10**6 else 1.0)
        count = max(2, round(replicates * slow))
        began, gains = time.perf_counter(), []
        for seed in range(count):
            gains.append(gain(contender, seed, spread, budget))
            if sys.stderr.isatty():
                print(f"\r{contender.name:34}{seed + 1:4}/{count}", end="\r", file=sys.stderr)
        yield contender.name, np.array(gains), (time.perf_counter() - began) / count


def table(contenders: list[Contender], spread: float, budget: int, replicates: int) -> None:
    """Print one table, a line as soon as it is there."""
    print(f"\nspread {100 * spread:.0f} pp, {budget:,} evaluations, {ARMS:,} arms")
    head = f"{'':34}{'gain, pp':>9}{'+- se':>7}{'regret':>8}{'share':>8}{'runs':>6}{'s/run':>8}"
    print(f"{head}\n{'-' * len(head)}")
    oracle: Floats = np.zeros(0)
    for name, gains, seconds in rows(contenders, spread, budget, replicates):
        oracle = gains if name == "oracle" else oracle
        same = oracle[: len(gains)].mean()
        error = gains.std(ddof=1) / len(gains) ** 0.5
        print(
            f"{name:34}{gains.mean():9.2f}{error:7.2f}{same - gains.mean():8.2f}"
            f"{gains.mean() / same:8.1%}{len(gains):6}{seconds:8.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS))
    parser.add_argument(
        "--spreads", type=float, nargs="+", default=list(SPREADS), help="0.01 is a point"
    )
    parser.add_argument("--only", nargs="+", choices=sorted(BANDITS), help="these algorithms alone")
    parser.add_argument("--quick", action="store_true", help="5 replicates, budgets up to 100,000")
    options = parser.parse_args()
    contenders = [c for c in CONTENDERS if not options.only or c.algorithm in options.only]
    replicates = 5 if options.quick else options.replicates
    budgets = [b for b in options.budgets if not options.quick or b <= 100_000]
    began = time.perf_counter()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores (one used), load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, NumPy {np.__version__}"
    )
    for spread in options.spreads:
        for budget in budgets:
            table(contenders, spread, budget, replicates)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
