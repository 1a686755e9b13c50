"""Intervals of a share and of a mean, each with the n of its unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; `n` counts the true unit (questions, runs)."""

    estimate: float
    low: float
    high: float
    n: int
    level: float = 0.95

    def contains(self, value: float) -> bool:
        """Whether `value` lies in the interval, its ends included."""
        return self.low <= value <= self.high


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a binomial share (Wilson 1927).

    (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n): good cover from a dozen items on, never
    empty at 0 or n.
    """
    return _binomial(successes, n, level, "wilson")


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> Interval:
    """The exact interval of a binomial share (Clopper & Pearson 1934), which covers at least `level`.

    From the Beta(k, n-k+1) and Beta(k+1, n-k) quantiles; wider than Wilson's.
    """
    return _binomial(successes, n, level, "beta")


def t_interval(values: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Student's interval of a mean: mean +- t[n-1] s/sqrt(n); nan values are left out.

    Values that are all equal have no spread to judge by: the interval is then that one point, which
    claims more than the data can (see `bounded_interval`). Raises DataError below two values.
    """
    kept = measured(values)
    check_level(level)
    from scipy import special

    mean = float(kept.mean())
    reach = float(special.stdtrit(len(kept) - 1, 0.5 + level / 2)) * standard_error(kept)
    return Interval(mean, mean - reach, mean + reach, len(kept), level)


def unseen_share(n: int, level: float) -> float:
    """The share q that may be left out of n draws with chance (1 - level) / 2: (1 - q)^n.

    About 3.7 / n at level .95: the "rule of three" (Hanley & Lippman-Hand 1983), two-sided.
    """
    check_level(level)
    return float(1 - ((1 - level) / 2) ** (1 / n))


def bounded_interval(
    values: npt.ArrayLike, level: float = 0.95, least: float = 0.0, most: float = 1.0
) -> Interval:
    """Student's interval of the mean of values in [least, most], made wider where it shows too little.

    Where more than half of the values are the same, what is rare may not have come up at all, and the
    spread says nothing of it: the interval is then no narrower than mean - q (mean - least) and
    mean + q (most - mean), with q of `unseen_share`. With equal values it is just that. Raises
    DataError below two values.
    """
    kept = measured(values)
    found = t_interval(kept, level)
    if not mostly_equal(kept):
        return found
    q, mean = unseen_share(len(kept), level), found.estimate
    low, high = mean - q * max(0.0, mean - least), mean + q * max(0.0, most - mean)
    return Interval(mean, min(found.low, low), max(found.high, high), len(kept), level)


def mostly_equal(values: npt.NDArray[np.float64]) -> bool:
    """Whether more than half of the values are one and the same."""
    return bool(2 * np.unique(values, return_counts=True)[1].max() > len(values))


def measured(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The values that are not nan, of which a spread needs two (DataError for fewer or infinite)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or np.isinf(array).any():
        raise DataError("values are not a flat array of finite numbers", "Pass one number per unit.")
    kept: npt.NDArray[np.float64] = array[~np.isnan(array)]
    if len(kept) < 2:
        raise DataError(f"{len(kept)} measured values: no interval", "Measure at least two units.")
    return kept


def standard_error(values: npt.NDArray[np.float64]) -> float:
    """s / sqrt(n), exactly zero for equal values."""
    if np.ptp(values) == 0:
        return 0.0
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def check_level(level: float) -> None:
    """ConfigError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise ConfigError(f"level={level!r} is no probability", "Give it in (0, 1), such as 0.95.")


def _binomial(successes: int, n: int, level: float, method: Literal["wilson", "beta"]) -> Interval:
    check_level(level)
    if n < 1 or not 0 <= successes <= n or successes != int(successes):
        raise DataError(
            f"{successes} successes of {n}: no share",
            "Count at least one item, and no more right than asked.",
        )
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(int(successes), int(n), 1 - level, method)
    share = successes / n
    # At 0 and n the formula's end may miss the share by a rounding error.
    return Interval(share, min(float(low), share), max(float(high), share), int(n), level)
