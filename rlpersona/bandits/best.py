"""The chance of each arm to be the best one, given a Beta posterior per arm."""

from __future__ import annotations

import numpy as np

from rlpersona.bandits.base import Floats, Ints

LEADERS = 64
CELLS = 1 << 17
FEWEST, MOST = 48, 512
NEGLIGIBLE = 1e-6


def chance_best(a: Floats, b: Floats) -> Floats:
    """P(theta_i is the largest) for independent theta_i ~ Beta(a_i, b_i): shape (arms,), summing to 1.

    The integral of prod_{j != i} F_j(x) dF_i(x) over all x, by the trapezoid rule in F_i on a grid over
    the range where the largest one lies. Arms of equal parameters are computed once; arms that cannot
    reach that range count as 0. Error: below 0.002 for each arm, whatever their number (the grid has
    at least 48 points, 512 where arms are few). Cost: about 0.3 us per distinct arm in range and
    point.
    """
    from scipy.special import betainc, betaincc

    pairs, where, copies = np.unique(a + 1j * b, return_inverse=True, return_counts=True)
    a, b = pairs.real, pairs.imag
    low = _lower_end(a, b)
    near = np.flatnonzero(betaincc(a, b, low) > NEGLIGIBLE / len(where))
    a, b, several = a[near], b[near], copies[near]
    high = _upper_end(a, b, several, low)

    points = int(np.clip(CELLS // len(near), FEWEST, MOST))
    grid = np.linspace(low, high, points)
    below = np.maximum(betainc(a[:, None], b[:, None], grid), np.finfo(float).tiny)
    logs = np.log(below)
    others = np.exp(several @ logs - logs)
    mass = np.diff(below, axis=1) * (others[:, 1:] + others[:, :-1]) / 2

    chances = np.zeros(len(pairs))
    chances[near] = mass.sum(axis=1)
    each = chances[where]
    return np.asarray(each / each.sum())


def _lower_end(a: Floats, b: Floats) -> float:
    """A point that the largest theta exceeds almost surely, judged by the most promising arms alone."""
    from scipy.special import betainc

    mean = a / (a + b)
    reach = mean + 2 * np.sqrt(mean * (1 - mean) / (a + b + 1))
    leaders = np.argsort(-reach)[:LEADERS]
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        if np.prod(betainc(a[leaders], b[leaders], middle)) < NEGLIGIBLE**1.5:
            low = middle
        else:
            high = middle
    return low


def _upper_end(a: Floats, b: Floats, copies: Ints, low: float) -> float:
    """A point above `low` that the largest theta hardly exceeds."""
    from scipy.special import betaincc

    high = 1.0
    for _ in range(8):
        middle = (low + high) / 2
        if copies @ betaincc(a, b, middle) > NEGLIGIBLE:
            break
        high = middle
    return high
