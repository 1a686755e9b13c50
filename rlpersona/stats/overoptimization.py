"""How a proxy reward and the gold one come apart as a policy moves away from its start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError

Floats = npt.NDArray[np.float64]
Form = Literal["rl", "bon"]


@dataclass(frozen=True, slots=True)
class Overoptimization:
    """R(d) = d (alpha - beta log d) ("rl") or d (alpha - beta d) ("bon") over d = sqrt(KL in nats).

    `peak` is the d at which R is largest, None where it does not fall again within twice the largest
    distance seen, beyond which nothing is known; `residual` is the standard deviation of what the curve
    leaves, `r_squared` the share of the variation about zero that it explains.
    """

    form: Form
    alpha: float
    beta: float
    peak: float | None
    r_squared: float
    residual: float
    n: int

    def at(self, distance: npt.ArrayLike) -> Floats:
        """The curve at distances >= 0 of any shape."""
        d = np.asarray(distance, dtype=np.float64)
        return self.alpha * d - self.beta * _second(d, self.form)


def fit_overoptimization(kl: npt.ArrayLike, gain: npt.ArrayLike, form: Form = "rl") -> Overoptimization:
    """Least squares of the gain in a reward over the start on d = sqrt(KL) (Gao, Schulman & Hilton 2023,
    arXiv:2210.10760, sec. 3.1): their form for best of n is d (alpha - beta d), for RL d (alpha - beta
    log d). Both are linear in alpha and beta.

    `kl` in nats (what an estimator makes negative counts as 0) and `gain` (reward less that of the
    start) of shape (points,); nan is left out. DataError below three points.
    """
    distance, gained = np.asarray(kl, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    if distance.ndim != 1 or distance.shape != gained.shape:
        raise DataError(
            "KL and gains are not two flat arrays alike", "Pass one of each for every point."
        )
    known = ~(np.isnan(distance) | np.isnan(gained))
    distance, gained = np.sqrt(np.maximum(distance[known], 0.0)), gained[known]
    if len(distance) < 3 or len(np.unique(distance)) < 2:
        raise DataError(f"{len(distance)} points determine no curve", "Log more steps.")
    rows = np.column_stack([distance, -_second(distance, form)])
    (alpha, beta), *_ = np.linalg.lstsq(rows, gained, rcond=None)
    left = gained - rows @ [alpha, beta]
    total = float((gained**2).sum())
    return Overoptimization(
        form,
        float(alpha),
        float(beta),
        _peak(float(alpha), float(beta), form, 2 * float(distance.max())),
        1 - float((left**2).sum()) / total if total else 0.0,
        float(np.sqrt((left**2).sum() / (len(left) - 2))),
        len(left),
    )


def _second(d: Floats, form: Form) -> Floats:
    if form == "bon":
        return d**2
    return np.where(d > 0, d * np.log(np.where(d > 0, d, 1.0)), 0.0)


def _peak(alpha: float, beta: float, form: Form, most: float) -> float | None:
    """Where the derivative is zero: alpha / (2 beta), or exp(alpha / beta - 1); None beyond `most`."""
    if beta <= 0 or (form == "bon" and alpha <= 0):
        return None
    peak = alpha / (2 * beta) if form == "bon" else math.exp(min(alpha / beta - 1, 700.0))
    return peak if peak <= most else None
