"""What a validation can see before it is paid for."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rlpersona.errors import ConfigError


def detectable_gain(
    questions: int,
    p: float,
    *,
    arms: int = 1,
    power: float = 0.8,
    alpha: float = 0.05,
    discordance: float | None = None,
) -> float:
    """Smallest true gain in accuracy over the control that a paired test finds with chance `power`.

    `p` is the control's accuracy, `arms` the number of personas tested against it (each at the level
    alpha / arms, two-sided: Bonferroni, the first step of Holm's). `discordance` is the share psi of
    questions on which exactly one of the two is right. Solves, for the gain d (Miettinen 1968; Connor
    1987),

        d sqrt(questions) = z[1 - alpha/2/arms] sqrt(psi) + z[power] sqrt(psi - d^2).

    Without `discordance` the two are taken as independent, psi = p(1 - p - d) + (p + d)(1 - p): the
    cautious figure, as a persona and the control mostly agree. A normal approximation: the exact test
    wants a little more. Infinite if no possible gain (at most psi and 1 - p) would be found.
    """
    shares = {"p": p, "power": power, "alpha": alpha, "discordance": discordance}
    _check(questions, arms, shares)
    if power <= alpha:
        raise ConfigError(f"power={power} is no more than alpha={alpha}", "Give a power such as 0.8.")
    from scipy import optimize, special

    found, missed = float(special.ndtri(1 - alpha / 2 / arms)), float(special.ndtri(power))

    def surplus(gain: float) -> float:
        psi = discordance
        if psi is None:
            psi = p * (1 - p - gain) + (p + gain) * (1 - p)
        noise = found * math.sqrt(psi) + missed * math.sqrt(max(psi - gain**2, 0.0))
        return gain * math.sqrt(questions) - noise

    most = 1 - p if discordance is None else min(discordance, 1 - p)
    if surplus(most) < 0:
        return math.inf
    return float(optimize.brentq(surplus, 0.0, most))


def _check(questions: int, arms: int, shares: Mapping[str, float | None]) -> None:
    if questions < 1 or arms < 1:
        raise ConfigError(
            f"questions={questions}, arms={arms}: nothing to measure", "Give at least one of each."
        )
    for name, share in shares.items():
        if share is not None and not 0 < share < 1:
            raise ConfigError(f"{name}={share!r} is no share", f"Give {name} in (0, 1).")
