"""Adjusted p-values for many claims at once: compare them with the level itself."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError


def holm(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Holm's (1979) step-down: the chance of *any* false claim stays below the level.

    Sorted upwards, adjusted p(i) = max over j <= i of min(1, (m - j + 1) p(j)); in the order given.
    Holds under any dependence. For the claims that a paper makes.
    """
    p = _checked(p_values)
    ranks = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[ranks] = np.maximum.accumulate(np.minimum(1, np.arange(len(p), 0, -1) * p[ranks]))
    return adjusted


def benjamini_hochberg(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Benjamini & Hochberg (1995): the expected *share* of false claims stays below the level.

    Adjusted p(i) = min over j >= i of min(1, m p(j) / j); in the order given. Holds for independent or
    positively dependent tests. For screens, whose finds are measured again.
    """
    p = _checked(p_values)
    from scipy import stats

    return np.asarray(stats.false_discovery_control(p, method="bh")) if len(p) else p


def _checked(p_values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise DataError("p-values are not a flat list of numbers in [0, 1]", "Pass one per test.")
    return p
