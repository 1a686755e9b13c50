"""What a search is expected to find: closed forms, and small simulations with a fixed seed.

True accuracies vary around `p` with standard deviation `spread`; evaluations are independent coin flips,
of which an arm has at most `questions` different ones (None: no limit).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.halving import bracket

Floats = npt.NDArray[np.float64]

DIMENSIONS = 32  # of the personas' features
DESIGN = 512  # arms from which the features' weights are learned,
SHARE = 0.3  # on this share of the budget
FINALISTS = 256  # arms that share the rest by halving
DRAWS = 2_000_000  # simulated arms, over all replicates
MOST_COUNTS = 20_000  # evaluations of an arm beyond which nothing depends on more of them


def even_gain(
    arms: int, evaluations: int, spread: float, p: float, questions: int | None = None
) -> float:
    """Expected true gain of the arm of highest mean after an even allocation.

    True accuracies are Beta with mean p and standard deviation `spread`, a + b = p(1-p)/spread^2 - 1, so
    that counts K of n evaluations are beta-binomial and E[truth - p | K] = rho^2 (K/n - p) exactly, with
    reliability rho^2 = n / (a + b + n). The gain is rho^2 (E[max K]/n - p): for large n this is
    spread * rho * E[max of `arms` standard normals]. With fewer evaluations than arms, as many arms as
    there are evaluations answer once.
    """
    tried = min(arms, evaluations)
    n = min(evaluations // tried, questions or MOST_COUNTS, MOST_COUNTS)
    return _pseudo_counts(spread, p, n)[0] * top_excess(tried, n, spread, p)


def top_excess(arms: int, n: int, spread: float, p: float) -> float:
    """Expected excess over p of the best of `arms` observed accuracies, each of n evaluations.

    E[max K]/n - p for K beta-binomial: `stats.null_maximum` with a true spread.
    """
    from scipy import stats

    _, concentration = _pseudo_counts(spread, p, n)
    chances = stats.betabinom.pmf(np.arange(n + 1), n, p * concentration, (1 - p) * concentration)
    below = np.minimum(np.cumsum(chances)[:-1], 1.0)
    return float((1 - below**arms).sum() / n - p)


def expected_maximum(arms: int) -> float:
    """E[max] of `arms` standard normals: the integral of x dF(x)^arms, F the normal distribution."""
    from scipy import special

    grid = np.linspace(-10, 10, 20_001)
    chances = np.exp(arms * special.log_ndtr(grid))
    return float(((grid[1:] + grid[:-1]) / 2 * np.diff(chances)).sum())


def halving_gain(
    arms: int, evaluations: int, spread: float, p: float, block: int = 1, questions: int | None = None
) -> float:
    """Expected true gain of the last survivor of sequential halving (simulated, fixed seed).

    `block` is the evaluations of a survivor in one pass. Zero if the budget compares no two arms.
    """
    if evaluations // block < 2:
        return 0.0
    entrants = bracket(arms, evaluations // block)
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(_replicates(entrants)):
        truth = rng.normal(0, spread, entrants)
        start = _Start(truth, np.zeros(entrants), 0.0, np.zeros(entrants), np.zeros(entrants))
        gains.append(truth[_last(rng, start, p, evaluations, block, questions)] - truth.mean())
    return float(np.mean(gains))


def features_gain(
    arms: int,
    evaluations: int,
    spread: float,
    p: float,
    explained: float,
    block: int = 1,
    questions: int | None = None,
) -> float:
    """Expected true gain of a search that first learns what features tell of the arms (simulated).

    A sketch of the algorithm `hierarchical`. It asks m = min(512, arms) arms n times each, for .3 of the
    budget. Of features that explain V = explained * spread^2, d weights learned there by ridge
    regression predict V m / (m + d noise / V), with noise = spread^2 - V + p(1-p)/n; the 256 arms of the
    best posterior mean, from prediction and own answers, share the rest of the budget by halving.
    Cautious: the algorithm chooses its m arms, and goes on learning the weights.
    """
    tried = min(DESIGN, arms, max(1, int(SHARE * evaluations)))
    n = min(max(1, int(SHARE * evaluations) // tried), questions or MOST_COUNTS)
    variance = explained * spread**2
    noise = spread**2 - variance + p * (1 - p) / n
    learned = variance * tried / (tried + DIMENSIONS * noise / variance)
    rest = spread**2 - learned
    weight = p * (1 - p) / rest  # of the prediction, in evaluations
    rng = np.random.default_rng(0)
    gains = []
    for _ in range(_replicates(arms)):
        predicted = rng.normal(0, math.sqrt(learned), arms)
        truth = predicted + rng.normal(0, math.sqrt(rest), arms)
        counts = np.zeros(arms)
        counts[:tried] = n
        sums = _excess(rng, counts, truth, p)
        best = np.argsort(-(weight * predicted + sums) / (weight + counts))[:FINALISTS]
        start = _Start(truth[best], predicted[best], weight, counts[best], sums[best])
        last = _last(rng, start, p, evaluations - n * tried, block, questions)
        gains.append(start.truth[last] - truth.mean())
    return float(np.mean(gains))


def policy_ratio(
    arms: int,
    evaluations: int,
    p: float,
    arms_per_round: int,
    questions_per_round: int,
    lr: float,
    spread: float = 0.0,
) -> float:
    """Highest probability that REINFORCE by SGD reaches, over uniform, to first order (simulated).

    As long as the policy is near uniform, each of the K arms of a round is drawn evenly, and its logit
    moves by lr/K (r - mean r of the round), r the mean of its answers. Returned is exp of the expected
    highest sum of such steps. About 1.01 for 2,174 arms and 100 rounds of 5 personas and 10 questions at
    lr 0.1. A large value says that the policy leaves uniform, not where it goes.
    """
    rounds = max(1, evaluations // (arms_per_round * questions_per_round))
    rng = np.random.default_rng(0)
    highest = []
    for _ in range(int(np.clip(DRAWS // (2 * rounds * arms_per_round + arms), 3, 50))):
        truth = np.clip(p + rng.normal(0, spread, arms), 0, 1)
        drawn = rng.integers(arms, size=(rounds, arms_per_round))
        rewards = rng.binomial(questions_per_round, truth[drawn]) / questions_per_round
        steps = rewards - rewards.mean(axis=1, keepdims=True)
        highest.append(np.bincount(drawn.ravel(), weights=steps.ravel(), minlength=arms).max())
    return math.exp(min(lr / arms_per_round * float(np.mean(highest)), 700.0))


@dataclass(frozen=True)
class _Start:
    """Arms as a halving finds them, accuracies as excess over p: the truth, what features predict and
    how many evaluations that is worth, evaluations so far and their right answers beyond counts * p."""

    truth: Floats
    predicted: Floats
    weight: float
    counts: Floats
    sums: Floats


def _last(
    rng: np.random.Generator, start: _Start, p: float, left: int, block: int, questions: int | None
) -> int:
    """Which arm sequential halving ends with, ranked by posterior mean."""
    alive = np.arange(len(start.truth))
    counts, sums = start.counts.copy(), start.sums.copy()
    for stage in range((len(alive) - 1).bit_length(), 0, -1):
        each = left // stage // (len(alive) * block) * block
        left -= each * len(alive)
        asked = np.clip((questions or np.inf) - counts[alive], 0, each)
        sums[alive] += _excess(rng, asked, start.truth[alive], p)
        counts[alive] += asked
        worth = start.weight * start.predicted[alive] + sums[alive]
        worth /= np.maximum(start.weight + counts[alive], 1e-9)
        shuffled = rng.permutation(len(alive))  # breaks ties
        kept = shuffled[np.argsort(-worth[shuffled], kind="stable")][: (len(alive) + 1) // 2]
        alive = alive[kept]
    return int(alive[0])


def _excess(rng: np.random.Generator, counts: Floats, truth: Floats, p: float) -> Floats:
    """Right answers beyond counts * p, of arms whose accuracy is p + truth."""
    right = rng.binomial(counts.astype(np.int64), np.clip(p + truth, 0, 1))
    return np.asarray(right - counts * p)


def _pseudo_counts(spread: float, p: float, n: int) -> tuple[float, float]:
    """Reliability of a mean of n evaluations, and a + b of the Beta of the true accuracies."""
    concentration = p * (1 - p) / spread**2 - 1
    return n / (concentration + n), concentration


def _replicates(arms: int) -> int:
    return int(np.clip(DRAWS // (2 * arms), 40, 400))
