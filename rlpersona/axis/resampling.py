"""Means over roles *and* questions, both taken as samples: the crossed bootstrap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.axis.vectors import Floats
from rlpersona.errors import DataError
from rlpersona.stats.intervals import check_level

BLOCK = 64  # resamples worked out together


@dataclass(frozen=True)
class CrossedInterval:
    """What was found over roles and questions with its interval, by layer or whatever follows.

    `roles` and `questions` count the two units that it rests on.
    """

    estimate: Floats
    low: Floats
    high: Floats
    level: float
    roles: int
    questions: int


def crossed_bootstrap(
    table: npt.ArrayLike, *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> CrossedInterval:
    """Mean of a table (roles, questions, ...), and its interval for other roles *and* questions.

    Roles and questions are resampled independently, and a cell counts as often as both were drawn
    (the pigeonhole bootstrap: Owen 2007, Annals of Applied Statistics 1:386; a little wide, never too
    narrow by much). Cells that are nan do not count. A table of one role rests on its questions alone.

    Raises:
        DataError: no cell with a value.
    """
    check_level(level)
    values = np.asarray(table, np.float64)
    if values.ndim < 2 or not np.isfinite(values).any():
        raise DataError(f"a table of shape {values.shape} without values", "Pass (roles, questions).")
    roles, questions = values.shape[:2]
    flat = values.reshape(roles, questions, -1)
    there = np.isfinite(flat)
    full = np.where(there, flat, 0.0)
    present = there.astype(np.float64)

    def means(of_roles: Floats, of_questions: Floats) -> Floats:
        parts = [
            np.einsum("bqk,bq->bk", np.tensordot(of_roles, cells, 1), of_questions)
            for cells in (full, present)
        ]
        with np.errstate(invalid="ignore"):
            ratio: Floats = parts[0] / parts[1]
        return ratio

    generator = np.random.default_rng(seed)
    drawn = []
    for at in range(0, resamples, BLOCK):
        size = min(BLOCK, resamples - at)
        drawn.append(means(counts(generator, size, roles), counts(generator, size, questions)))
    estimate = means(np.ones((1, roles)), np.ones((1, questions)))[0]
    low, high = percentiles(np.concatenate(drawn), level)
    estimate, low, high = (part.reshape(values.shape[2:]) for part in (estimate, low, high))
    return CrossedInterval(estimate, low, high, level, roles, questions)


def counts(generator: np.random.Generator, resamples: int, units: int) -> Floats:
    """How often each unit is drawn: (resamples, units)."""
    drawn: Floats = generator.multinomial(units, np.full(units, 1 / units), resamples).astype(float)
    return drawn


def percentiles(drawn: Floats, level: float) -> tuple[Floats, Floats]:
    """Low and high end of the middle `level` of resamples (resamples, ...)."""
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high
