"""Checks of what an algorithm is built with."""

from __future__ import annotations

import math

import numpy as np

from rlpersona.errors import ConfigError


def whole(what: str, value: int, low: int) -> int:
    """`value` as an int of at least `low`; ConfigError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ConfigError(f"{what}={value!r}: not a whole number", f"Give {what} of at least {low}.")
    return int(value)


def real(
    what: str,
    value: float,
    low: float,
    above: bool = False,
    below: float = math.inf,
    high: float = math.inf,
) -> float:
    """`value` as a finite float of at least `low` (more, if `above`), at most `high`, less than `below`.

    ConfigError otherwise.
    """
    good = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not good or not (low < value if above else low <= value) or not (value < below and value <= high):
        limit = f"{'above' if above else 'of at least'} {low:g}"
        if below < math.inf:
            limit += f" and below {below:g}"
        elif high < math.inf:
            limit += f" and at most {high:g}"
        raise ConfigError(f"{what}={value!r}: not a number in its range", f"Give {what} {limit}.")
    return float(value)


def one_of(what: str, value: str, known: tuple[str, ...]) -> str:
    """`value` if it is known; ConfigError otherwise."""
    if value not in known:
        raise ConfigError(f"{what}={value!r} is unknown", f"Known: {', '.join(known)}.")
    return value
