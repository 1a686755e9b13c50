"""The multiple contrast test of MCP-Mod: is there a dose-response, whatever its shape?"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError

Floats = npt.NDArray[np.float64]
Shape = Callable[[Floats], Floats]

DIRECTIONS = 4096
"""Directions, evenly spread, over which p-values are averaged: their error is below 1 % of p."""


@dataclass(frozen=True, slots=True)
class ContrastTest:
    """By candidate shape: contrasts (shapes, doses), t statistics, two-sided adjusted p-values.

    `best` names the shape with the largest |t|; its p-value is that of the whole test.
    """

    contrasts: dict[str, Floats]
    statistics: dict[str, float]
    p_values: dict[str, float]
    best: str
    df: int


def candidates(top: float) -> dict[str, Shape]:
    """Shapes that a response may have up to the dose `top`: linear, saturating early or late, growing.

    Emax with ED50 at 5 and 20 % of `top`; the power 2; and a sigmoid with its middle at 40 %.
    """
    return {
        "linear": lambda d: d,
        "emax .05": lambda d: d / (0.05 * top + d),
        "emax .2": lambda d: d / (0.2 * top + d),
        "quadratic": lambda d: d**2,
        "sigmoid": lambda d: d**4 / ((0.4 * top) ** 4 + d**4),
    }


def optimal_contrast(shape: npt.ArrayLike, covariance: Floats) -> Floats:
    """The contrast c (doses,) with the most power against means of this shape; c'1 = 0, |c| = 1.

    c is proportional to S^-1 (m - 1 (m' S^-1 1) / (1' S^-1 1)), with m the shape at the doses and S
    the covariance of the estimated means (Pinheiro, Bornkamp, Glimm & Bretz 2014, eq. 5). A shape that
    is constant has none (DataError).
    """
    m = np.asarray(shape, dtype=np.float64)
    weights = np.linalg.solve(covariance, np.column_stack([m, np.ones(len(m))]))
    raw = weights[:, 0] - weights[:, 1] * weights[:, 0].sum() / weights[:, 1].sum()
    size = float(np.linalg.norm(raw))
    if np.ptp(m) == 0 or size == 0:
        raise DataError("a constant shape has no contrast", "Leave it out of the candidates.")
    return np.asarray(raw / size)


def contrast_test(
    means: npt.ArrayLike,
    covariance: npt.ArrayLike,
    df: int,
    shapes: Mapping[str, npt.ArrayLike],
    *,
    two_sided: bool = True,
) -> ContrastTest:
    """T_m = c_m' mu / sqrt(c_m' S c_m) for each shape, judged by the distribution of the largest.

    `means` (doses,) with `covariance` (doses, doses), estimated with `df` degrees of freedom; `shapes`
    are the candidates' values at the doses. Under no effect T is multivariate t with the correlation R
    of the contrasts (Bretz, Pinheiro & Branson 2005, sec. 3). With R = L L' of rank k and T = L z / s:
    z is a length times a direction u, and length^2 s^-2 / k is F[k, df], so that

        P(max_m T_m >= t) = E_u P(F[k, df] >= t^2 / (k max_m (L u)_m^2))     (where that maximum is > 0),

    a mean over DIRECTIONS directions of a Sobol sequence with a fixed seed, good for as small a p as
    there is.
    """
    from scipy import special, stats

    mu, spread = np.asarray(means, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    if mu.ndim != 1 or spread.shape != (len(mu), len(mu)) or len(mu) < 2 or df < 1:
        raise DataError(
            f"means of shape {mu.shape}, covariance {spread.shape}, {df} degrees of freedom",
            "Pass the estimates of two doses or more and their covariance.",
        )
    contrasts = {name: optimal_contrast(shape, spread) for name, shape in shapes.items()}
    rows = np.array(list(contrasts.values()))
    inner = rows @ spread @ rows.T
    errors = np.sqrt(np.diag(inner))
    statistics = rows @ mu / errors
    values, vectors = np.linalg.eigh(inner / np.outer(errors, errors))
    kept = values > 1e-10 * values.max()
    root = vectors[:, kept] * np.sqrt(values[kept])
    rank = int(kept.sum())
    even = stats.qmc.MultivariateNormalQMC(np.zeros(rank), rng=np.random.default_rng(0))
    directions = even.random(DIRECTIONS)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    reach = directions @ root.T
    largest = np.abs(reach).max(axis=1) if two_sided else reach.max(axis=1)
    largest = largest[largest > 0]

    def p_value(t: float) -> float:
        bar = abs(t) if two_sided else t
        if bar <= 0:
            return float(two_sided) or 1.0
        tails = special.fdtrc(rank, df, bar**2 / (rank * largest**2))
        return float(tails.sum() / DIRECTIONS)

    names = list(contrasts)
    best = names[int(np.argmax(np.abs(statistics) if two_sided else statistics))]
    return ContrastTest(
        contrasts,
        dict(zip(names, map(float, statistics), strict=True)),
        {name: p_value(float(t)) for name, t in zip(names, statistics, strict=True)},
        best,
        df,
    )


def dose_means(
    values: npt.ArrayLike, doses: npt.ArrayLike, seeds: Sequence[Hashable]
) -> tuple[Floats, Floats, Floats, int]:
    """Distinct doses, their means less the effects of seeds, the covariance, and degrees of freedom.

    Least squares of y = dose + seed (factors, seed effects summing to zero), runs of shape (runs,), nan
    left out. DataError where no degree of freedom is left for the noise.
    """
    y, d = np.asarray(values, dtype=np.float64), np.asarray(doses, dtype=np.float64)
    kept = ~np.isnan(y)
    names = [name for name, keep in zip(seeds, kept, strict=True) if keep]
    y, d = y[kept], d[kept]
    at, which = np.unique(d, return_inverse=True)
    distinct = list(dict.fromkeys(names))
    block = np.array([distinct.index(name) for name in names], dtype=np.intp)
    sums = np.vstack([np.eye(len(distinct) - 1), -np.ones(len(distinct) - 1)])
    design = np.hstack([np.eye(len(at))[which], sums[block]])
    df = len(y) - design.shape[1]
    if df < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        raise DataError(
            f"{len(y)} runs of {len(at)} doses and {len(distinct)} seeds leave no noise to judge by",
            "Train more seeds of each dose.",
        )
    beta, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance = float(((y - design @ beta) ** 2).sum()) / df
    covariance = variance * np.linalg.inv(design.T @ design)[: len(at), : len(at)]
    return at, beta[: len(at)], covariance, df
