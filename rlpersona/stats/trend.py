"""Trend over doses where the doses were assigned within seeds: an exact test, and slopes by seed."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval, t_interval

Floats = npt.NDArray[np.float64]

RESAMPLES = 100_000
MOST = 2_000_000
"""Arrangements of half of the seeds that are listed; beyond it they are drawn."""
MOST_DOSES = 8  # 8! arrangements of one seed's doses are listed, not more


@dataclass(frozen=True, slots=True)
class Trend:
    """The pooled slope within seeds and the p-value of no trend (two-sided).

    `smallest` is the least p-value that the design can give: with few doses and seeds no result at
    all is significant. `runs` and `seeds` count those that bear on it.
    """

    slope: float
    p_value: float
    exact: bool
    smallest: float
    runs: int
    seeds: int


@dataclass(frozen=True, slots=True)
class SeedSlopes:
    """Least-squares slope of each seed's runs, and Student's interval of their mean.

    `interval` is None below two seeds; `p_value` then too. Slopes are in units of the metric per unit
    of dose.
    """

    slopes: dict[Hashable, float]
    mean: float
    interval: Interval | None
    p_value: float | None


def permutation_trend(
    values: npt.ArrayLike,
    doses: npt.ArrayLike,
    seeds: Sequence[Hashable],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Trend:
    """Test that runs do not respond to the dose, by permuting the doses within each seed.

    Statistic: T = sum over runs of (d - mean d of the seed) y, which orders arrangements as the slope
    T / sum (d - mean d)^2 does. Runs of one seed share initial weights, prompts and draws, so under no
    effect every order of their values was as likely (a blocked randomisation test; Fisher 1935,
    Edgington & Onghena 2007, ch. 7). p is the share of arrangements with |T| at least the observed. All
    are counted as long as each half of the seeds has at most MOST: the sums of the one half are looked
    up among the sorted sums of the other. Otherwise `resamples` are drawn and p = (b + 1) / (m + 1)
    (Phipson & Smyth 2010).

    `values`, `doses`, `seeds` of shape (runs,); runs whose value is nan are left out. DataError where
    no seed has two doses.
    """
    blocks = _blocks(values, doses, seeds)
    if not blocks:
        raise DataError("no seed has runs of two doses", "A trend needs two doses of one seed.")
    squares = sum(float((d**2).sum()) for d, _ in blocks)
    observed = sum(float(d @ y) for d, y in blocks)
    runs = sum(len(y) for _, y in blocks)
    scale = sum(float(np.abs(d) @ np.abs(y)) for d, y in blocks)
    if scale == 0:
        return Trend(0.0, 1.0, True, _smallest(blocks), runs, len(blocks))
    bar = abs(observed) - 1e-9 * scale  # equal sums in another order of adding
    halves = _halves(blocks)
    if halves is not None:
        low, high = (_sums(half) for half in halves)
        high.sort()
        above = len(high) - np.searchsorted(high, bar - low, side="left")
        below = np.searchsorted(high, -bar - low, side="right")
        p = float(min(1.0, (above.sum() + below.sum()) / (len(low) * len(high))))
    else:
        rng = np.random.default_rng(seed)
        drawn = np.zeros(resamples)
        for d, y in blocks:
            drawn += rng.permuted(np.tile(y, (resamples, 1)), axis=1) @ d
        p = float((np.count_nonzero(np.abs(drawn) >= bar) + 1) / (resamples + 1))
    return Trend(observed / squares, p, halves is not None, _smallest(blocks), runs, len(blocks))


def seed_slopes(
    values: npt.ArrayLike, doses: npt.ArrayLike, seeds: Sequence[Hashable], level: float = 0.95
) -> SeedSlopes:
    """Slopes by seed with Student's interval over seeds: mean +- t[S-1] s / sqrt(S).

    The two-stage analysis of repeated measures (Matthews, Altman, Campbell & Royston 1990): each seed
    gives one number, and seeds are independent, whatever the correlation within. Few seeds give wide
    intervals: with 3 the factor of the standard error is 4.3 at level .95. Shapes and nan as in
    `permutation_trend`.
    """
    from scipy import special

    groups = _groups(values, doses, seeds)
    slopes = {
        name: float(((d - d.mean()) @ y) / ((d - d.mean()) ** 2).sum())
        for name, (d, y) in groups.items()
        if np.ptp(d) > 0
    }
    if not slopes:
        raise DataError("no seed has runs of two doses", "A slope needs two doses of one seed.")
    found = np.array(list(slopes.values()))
    mean = float(found.mean())
    if len(found) < 2:
        return SeedSlopes(slopes, mean, None, None)
    error = float(found.std(ddof=1) / math.sqrt(len(found)))
    p = 2 * float(special.stdtr(len(found) - 1, -abs(mean) / error)) if error else float(mean == 0)
    return SeedSlopes(slopes, mean, t_interval(found, level), p)


def _groups(
    values: npt.ArrayLike, doses: npt.ArrayLike, seeds: Sequence[Hashable]
) -> dict[Hashable, tuple[Floats, Floats]]:
    """Doses and values of each seed, in order of first appearance."""
    y, d = np.asarray(values, dtype=np.float64), np.asarray(doses, dtype=np.float64)
    if y.ndim != 1 or y.shape != d.shape or len(y) != len(seeds):
        raise DataError(
            f"values of shape {y.shape}, doses {d.shape}, {len(seeds)} seeds",
            "Pass one value, dose and seed for each run.",
        )
    if not np.isfinite(d).all() or np.isinf(y).any():
        raise DataError("doses and values must be finite", "Leave out what was not measured (nan).")
    groups = {}
    for name in dict.fromkeys(seeds):
        mine = np.array([one == name for one in seeds]) & ~np.isnan(y)
        if mine.any():
            groups[name] = d[mine], y[mine]
    return groups


def _blocks(
    values: npt.ArrayLike, doses: npt.ArrayLike, seeds: Sequence[Hashable]
) -> list[tuple[Floats, Floats]]:
    """Centred doses and values of each seed with two doses or more."""
    groups = _groups(values, doses, seeds).values()
    return [(d - d.mean(), _centred(y)) for d, y in groups if np.ptp(d) > 0]


def _centred(y: Floats) -> Floats:
    """Differences from the mean; exactly zero where the values are equal but for rounding."""
    return np.zeros(len(y)) if np.ptp(y) <= 1e-12 * np.abs(y).max() else y - y.mean()


def _halves(
    blocks: Sequence[tuple[Floats, Floats]],
) -> tuple[Sequence[tuple[Floats, Floats]], Sequence[tuple[Floats, Floats]]] | None:
    """The seeds in two halves whose arrangements can all be listed; None where they cannot."""
    if any(len(y) > MOST_DOSES for _, y in blocks):
        return None
    middle = len(blocks) // 2
    halves = blocks[:middle], blocks[middle:]
    if any(math.prod(math.factorial(len(y)) for _, y in half) > MOST for half in halves):
        return None
    return halves


def _sums(blocks: Sequence[tuple[Floats, Floats]]) -> Floats:
    """T of every arrangement of these seeds."""
    sums = np.zeros(1)
    for d, y in blocks:
        each = np.array(list(permutations(y))) @ d
        sums = (sums[:, None] + each).ravel()
    return sums


def _smallest(blocks: Sequence[tuple[Floats, Floats]]) -> float:
    """One over the arrangements that differ; twice that where the doses are symmetric about their mean,
    so that the reversed order is as extreme as the right one."""
    arrangements, symmetric = 1.0, True
    for d, _ in blocks:
        _, equal = np.unique(d, return_counts=True)
        arrangements *= math.factorial(len(d)) / math.prod(math.factorial(n) for n in equal)
        ordered = np.sort(d)
        symmetric &= bool(np.allclose(ordered, -ordered[::-1]))
    return min(1.0, (1 + symmetric) / arrangements)
