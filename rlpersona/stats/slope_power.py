"""What slope of a metric over doses a design can detect, before any run is paid for.

The unit is the run. Doses x_1..x_D are trained in each of S blocks (seeds); a run's metric is

    y_sd = a_s + beta x_d + e_sd,    e_sd ~ N(0, noise^2),

and with Sxx = sum_d (x_d - mean x)^2 the least-squares slope over all runs has the standard error
noise / sqrt(S Sxx). Both tests below divide by an estimate of it and differ in what they know of noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from rlpersona.errors import ConfigError
from rlpersona.stats.intervals import check_level

Test = Literal["blocks", "slopes"]


def slope_power(
    slope: float,
    doses: Sequence[float],
    seeds: int,
    noise: float = 1.0,
    *,
    test: Test = "blocks",
    level: float = 0.95,
) -> float:
    """Chance that the two-sided t test at 1 - level finds a true `slope` (metric per unit of dose).

    |T| > t(1 - alpha/2, df), T noncentral t with ncp = slope sqrt(S Sxx) / noise (Kutner, Nachtsheim,
    Neter & Li 2005, Applied Linear Statistical Models, section 2.3, with blocks as further regressors).
    `blocks`: noise from the residuals of metric ~ dose + seed, df = S D - S - 1. `slopes`: one slope for
    each seed, a t test of their mean, df = S - 1; slopes may then differ from seed to seed.
    0 where a test has no degree of freedom. Raises ConfigError for values out of range.
    """
    spread, df = _design(doses, seeds, noise, test, level)
    if df < 1:
        return 0.0
    from scipy import stats

    ncp = slope * math.sqrt(seeds * spread) / noise
    line = stats.t.ppf((1 + level) / 2, df)
    # scipy's noncentral t loses its far tail for large ncp, where the chance is 1 anyhow.
    above, below = stats.nct.sf(line, df, abs(ncp)), stats.nct.cdf(-line, df, abs(ncp))
    return float(np.clip(np.nan_to_num(above, nan=1.0) + np.nan_to_num(below), 0, 1))


def detectable_slope(
    doses: Sequence[float],
    seeds: int,
    noise: float = 1.0,
    *,
    test: Test = "blocks",
    power: float = 0.8,
    level: float = 0.95,
) -> float:
    """Smallest slope (metric per unit of dose) that the test is to find with chance `power`.

    In proportion to `noise`, the run-to-run standard deviation of the metric at one dose; with noise 1
    in units of it. Infinite where the test of `slope_power` has no degree of freedom.
    """
    spread, df = _design(doses, seeds, noise, test, level)
    if not 1 - level < power < 1:
        raise ConfigError(f"power={power!r} at level {level}", "Give a power such as 0.8.")
    if df < 1:
        return math.inf
    from scipy import optimize

    unit = noise / math.sqrt(seeds * spread)

    def surplus(ncp: float) -> float:
        return slope_power(ncp * unit, doses, seeds, noise, test=test, level=level) - power

    most = 4.0
    while surplus(most) < 0:
        most *= 2
    return float(optimize.brentq(surplus, 0.0, most) * unit)


def smallest_p(doses: int, seeds: int) -> float:
    """Smallest two-sided p-value of permuting `doses` distinct doses within each of `seeds` seeds.

    2 / (doses!)^seeds, the order observed and its mirror among all; 1 where there is but one order.
    """
    if doses < 1 or seeds < 1:
        raise ConfigError(f"{doses} doses, {seeds} seeds: nothing to permute", "Give at least one each.")
    return min(1.0, 2 * math.exp(-seeds * math.lgamma(doses + 1)))


def _design(
    doses: Sequence[float], seeds: int, noise: float, test: Test, level: float
) -> tuple[float, int]:
    """Sxx and the degrees of freedom."""
    check_level(level)
    x = np.asarray(doses, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all() or np.ptp(x) == 0:
        raise ConfigError(
            f"doses {list(doses)} have no slope", "Give at least two different ones: bias_weights=[0,1]"
        )
    if seeds < 1 or not (noise > 0 and math.isfinite(noise)):
        raise ConfigError(f"seeds={seeds}, noise={noise!r}", "Give at least one seed and some noise.")
    df = seeds * len(x) - seeds - 1 if test == "blocks" else seeds - 1
    return float(((x - x.mean()) ** 2).sum()), df
