"""What a comparison of two models can see: before the run from the prompts, after it from the spread."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError
from rlpersona.stats.intervals import check_level, measured


def win_rate_power(prompts: int, p: float, level: float = 0.95) -> float:
    """Chance that the exact two-sided binomial test of one half finds a true win rate `p`.

    One decided comparison a prompt: wins ~ Binomial(prompts, p), rejected where
    2 P(Binomial(prompts, 1/2) <= min(wins, losses)) <= 1 - level. With 115 prompts, .64 is found with
    chance .84. Several samples a prompt can only help. Raises ConfigError for values out of range.
    """
    _check(prompts, level)
    if not 0 <= p <= 1:
        raise ConfigError(f"p={p!r} is no win rate", "Give it in [0, 1].")
    from scipy import special

    below = special.bdtr(np.arange(prompts + 1), prompts, 0.5)
    few = int(np.searchsorted(2 * below, 1 - level, side="right")) - 1
    if few < 0:
        return 0.0
    return float(special.bdtr(few, prompts, p) + special.bdtr(few, prompts, 1 - p))


def detectable_win_rate(prompts: int, power: float = 0.8, level: float = 0.95) -> float | None:
    """Smallest win rate above one half that the test of `win_rate_power` finds with chance `power`.

    None where not even a model that always wins would be found: five prompts at level .95.
    """
    _check(prompts, level)
    if not 1 - level < power < 1:
        raise ConfigError(f"power={power!r} at level {level}", "Give a power such as 0.8.")
    if win_rate_power(prompts, 1.0, level) < power:
        return None
    from scipy import optimize

    def surplus(p: float) -> float:
        return win_rate_power(prompts, p, level) - power

    return float(optimize.brentq(surplus, 0.5, 1.0))


def detectable_difference(values: npt.ArrayLike, power: float = 0.8, level: float = 0.95) -> float:
    """Smallest true mean that a t test over these units finds with chance `power`, at their spread.

    `values` (prompts,): each prompt's win rate minus one half, or its difference between two models;
    nan is left out. After the run it says what "no difference found" leaves open, from the spread alone
    and not from the observed mean (Hoenig & Heisey 2001). 0 where there is no spread, which then says
    nothing. Power is that of the noncentral t with the scale integrated out,

        E[Phi(shift - t S) + Phi(-shift - t S)],   S^2 ~ chi^2[n-1] / (n-1),

    as the library functions fail for a handful of values.
    """
    check_level(level)
    kept = measured(values)
    if not 1 - level < power < 1:
        raise ConfigError(f"power={power!r} at level {level}", "Give a power such as 0.8.")
    if np.ptp(kept) == 0:
        return 0.0
    from scipy import optimize, special

    df = len(kept) - 1
    nodes, weights = np.polynomial.legendre.leggauss(400)
    reach = special.stdtrit(df, 0.5 + level / 2) * np.sqrt(special.chdtri(df, (1 - nodes) / 2) / df)

    def surplus(shift: float) -> float:
        found = special.ndtr(shift - reach) + special.ndtr(-shift - reach)
        return float(weights @ found) / 2 - power

    most = 4.0
    while surplus(most) < 0:
        most *= 2
    shift = float(optimize.brentq(surplus, 0.0, most))
    return float(shift * kept.std(ddof=1) / np.sqrt(len(kept)))


def _check(prompts: int, level: float) -> None:
    check_level(level)
    if prompts < 1:
        raise ConfigError(f"{prompts} prompts: nothing to compare on", "Give at least one.")
