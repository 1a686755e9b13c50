"""A noisy series, one value a round, made readable."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST = 5
"""Values that an interval is drawn from at least: fewer say too little of their own spread."""


class Smooth(NamedTuple):
    """A moving mean and the 95 % interval of that mean; NaN where there is nothing to average."""

    mean: Floats
    low: Floats
    high: Floats


def moving_mean(
    values: Floats, window: int, *, within: tuple[float, float] = (-np.inf, np.inf)
) -> Smooth:
    """The mean of the `window` values around each one, NaN values left out.

    Near both ends of the series the window is shifted inwards, so that it is never cut short. The
    band is mean +- t(0.975, k - 1) * s / sqrt(k) over the k values of the window: it holds for
    rounds that draw their questions independently, and a trend inside the window widens it. It is
    NaN where k < LEAST, and cut to the range `within` that the values cannot leave.
    """
    from scipy.special import stdtrit

    if not values.size:
        return Smooth(values, values, values)
    window = min(window, values.size)
    starts = np.clip(np.arange(values.size) - window // 2, 0, values.size - window)
    frames = values[starts[:, None] + np.arange(window)]
    present = ~np.isnan(frames)
    n = present.sum(axis=1)
    filled = np.where(present, frames, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, filled.sum(axis=1) / n, np.nan)
        spread = np.where(present, (frames - mean[:, None]) ** 2, 0.0).sum(axis=1)
        error = np.sqrt(spread / (n - 1) / n)
        margin = np.where(n >= LEAST, stdtrit(np.maximum(n - 1, 1), 0.975) * error, np.nan)
    return Smooth(mean, np.clip(mean - margin, *within), np.clip(mean + margin, *within))


def block_means(values: Floats, limit: int) -> Floats:
    """At most `limit` values: means (NaN left out) of equally long blocks of consecutive values."""
    if values.size <= limit:
        return values
    length = -(-values.size // limit)
    padded = np.pad(values, (0, -values.size % length), constant_values=np.nan).reshape(-1, length)
    present = ~np.isnan(padded)
    n = present.sum(axis=1)
    total = np.where(present, padded, 0.0).sum(axis=1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)
