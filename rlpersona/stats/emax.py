"""Shapes of a dose-response: the Emax curve, and the best curve that never falls (or never rises)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError

Floats = npt.NDArray[np.float64]

BOUNDS = (0.001, 1.5)
"""Where ED50 may lie, in shares of the largest dose (the defaults of DoseFinding's `defBnds`)."""
GRID = 400  # values of ED50 that are tried, evenly on the logarithm


@dataclass(frozen=True, slots=True)
class Emax:
    """`e0 + emax d / (ed50 + d)`: response at dose 0, largest possible change, dose of half of it.

    `low`, `high`: profile interval of ED50, cut at the bounds. `problem` says why the curve should not
    be read, "" where it may be.
    """

    e0: float
    emax: float
    ed50: float
    low: float
    high: float
    rss: float
    problem: str = ""

    def at(self, doses: npt.ArrayLike) -> Floats:
        """The curve at doses of any shape."""
        d = np.asarray(doses, dtype=np.float64)
        return self.e0 + self.emax * d / (self.ed50 + d)


def fit_emax(
    values: npt.ArrayLike,
    doses: npt.ArrayLike,
    seeds: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Emax:
    """Least squares of y = E0 + seed effect + Emax d / (ED50 + d) (Bretz, Pinheiro & Branson 2005).

    For a given ED50 the model is linear, so the sum of squares is profiled over ED50 within BOUNDS: a
    grid, then a bounded search around its least value. The interval holds the ED50 with
    RSS(ED50) <= RSS (1 + F[1, n-p] / (n-p)) (Bates & Watts 1988, sec. 6.1). `e0` is the mean over the
    seeds. An ED50 at a bound is a problem: within the doses the curve is then a step or a line.

    `values`, `doses`, `seeds` of shape (runs,), nan left out. DataError for fewer than three doses or
    where nothing is left to estimate the noise from.
    """
    from scipy import optimize, special

    y, d, design = _design(values, doses, seeds)
    top = float(d.max())
    free = len(y) - design.shape[1] - 2
    if len(np.unique(d)) < 3 or free < 1:
        raise DataError(
            f"{len(np.unique(d))} doses and {len(y)} runs do not determine an Emax curve",
            "It has three parameters: measure three doses or more.",
        )

    # Seeds are taken out of values and curve alike; what is left is a regression on one variable.
    basis = np.linalg.qr(design)[0]
    left = y - basis @ (basis.T @ y)

    def rss(log_ed50: npt.ArrayLike) -> Floats:
        ed50 = np.exp(np.atleast_1d(np.asarray(log_ed50, dtype=np.float64)))[:, None]
        curves = d / (ed50 + d)
        curves -= curves @ basis @ basis.T
        return np.asarray(left @ left - (curves @ left) ** 2 / (curves**2).sum(axis=1))

    low, high = (float(np.log(share * top)) for share in BOUNDS)
    grid = np.linspace(low, high, GRID)
    profile = rss(grid)
    best = int(profile.argmin())
    near = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    found = optimize.minimize_scalar(
        lambda at: float(rss(at)[0]), bounds=near, method="bounded", options={"xatol": 1e-10}
    )
    log_ed50 = float(found.x) if found.fun <= profile[best] else float(grid[best])
    (emax, *levels), least = _solve(y, d, design, float(np.exp(log_ed50)))
    bar = least * (1 + float(special.fdtri(1, free, level)) / free)
    within = grid[profile <= bar] if (profile <= bar).any() else np.array([log_ed50])
    ends = float(np.exp(min(within[0], log_ed50))), float(np.exp(max(within[-1], log_ed50)))
    problem = ""
    if not found.success:
        problem = "the search for ED50 did not converge"
    elif best in (0, GRID - 1):
        side = "smallest" if best == 0 else "largest"
        problem = f"ED50 lies at its {side} allowed value: these doses do not determine it"
    weights = design.mean(axis=0)
    e0 = float(np.dot(weights, levels))
    return Emax(e0, float(emax), float(np.exp(log_ed50)), *ends, least, problem)


def isotonic(values: npt.ArrayLike, doses: npt.ArrayLike, increasing: bool) -> tuple[Floats, Floats]:
    """The distinct doses and the monotone means nearest to the runs (pool adjacent violators).

    Least squares under the order alone (Barlow, Bartholomew, Bremner & Brunk 1972), by scikit-learn.
    nan values are left out; DataError where nothing is left.
    """
    from sklearn.isotonic import IsotonicRegression

    y, d, _ = _design(values, doses, None)
    at = np.unique(d)
    return at, np.asarray(IsotonicRegression(increasing=increasing).fit(d, y).predict(at))


def _solve(y: Floats, d: Floats, design: Floats, ed50: float) -> tuple[Floats, float]:
    rows = np.column_stack([d / (ed50 + d), design])
    beta = np.asarray(np.linalg.lstsq(rows, y, rcond=None)[0], dtype=np.float64)
    return beta, float(((y - rows @ beta) ** 2).sum())


def _design(
    values: npt.ArrayLike, doses: npt.ArrayLike, seeds: Sequence[Hashable] | None
) -> tuple[Floats, Floats, Floats]:
    """Values, doses, and one column of ones for each seed."""
    y, d = np.asarray(values, dtype=np.float64), np.asarray(doses, dtype=np.float64)
    names = [0] * len(y) if seeds is None else list(seeds)
    kept = ~np.isnan(y)
    if y.ndim != 1 or y.shape != d.shape or len(names) != len(y) or not kept.any():
        raise DataError("no flat arrays of measured values and doses", "Pass one of each for every run.")
    distinct = list(dict.fromkeys(name for name, keep in zip(names, kept, strict=True) if keep))
    columns = [[float(name == one) for one in distinct] for name in names]
    return y[kept], d[kept], np.asarray(columns)[kept]
