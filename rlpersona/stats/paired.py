"""Differences between scores on the same questions. The question is the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval, check_level, measured, standard_error, t_interval


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Scores minus control: mean with interval, two-sided p-value, and what it rests on.

    `wins`, `losses`, `ties` count questions; `test` names where `p_value` comes from.
    """

    difference: Interval
    p_value: float
    test: Literal["mcnemar", "t"]
    wins: int
    losses: int
    ties: int


def paired_difference(
    scores: npt.ArrayLike, control: npt.ArrayLike, level: float = 0.95
) -> PairedDifference:
    """`scores - control`, both of shape (questions,), the same question at the same place.

    The interval is Student's on the per-question differences. The p-value is McNemar's exact test if
    all scores are 0 or 1 (McNemar 1947), else the paired t test. With few discordant questions the
    interval is only approximate while the exact p-value holds. Differences that are all equal have no
    spread: see `difference_interval`; their p-value is the sign test's.

    nan marks an unscored answer and takes its question out; `difference.n` counts the questions left.
    Raises DataError for unequal shapes or fewer than two questions left.
    """
    ours, theirs = pair_up(scores, control)
    differences = measured(ours - theirs)
    binary = bool(np.isin([ours, theirs], (0.0, 1.0)).all())
    wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    return PairedDifference(
        difference=difference_interval(differences, level),
        p_value=mcnemar_exact(wins, losses) if binary else _t_test(differences, wins, losses),
        test="mcnemar" if binary else "t",
        wins=wins,
        losses=losses,
        ties=len(differences) - wins - losses,
    )


def set_difference(
    scores: npt.ArrayLike, control: npt.ArrayLike, level: float = 0.95
) -> PairedDifference:
    """Mean of a set of personas minus control: `scores` (personas, questions), `control` (questions,).

    The personas are averaged within each question first, so that n is the number of questions and not
    of answers. The interval holds for *these* personas on other questions of the same kind. It says
    nothing of other personas: that takes a model in which personas vary at random, too.

    A persona's unscored answer (nan) is left out of its question's average.
    """
    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or not table.shape[0]:
        raise DataError(
            f"scores have shape {table.shape}", "Pass one row per persona and one column per question."
        )
    scored = ~np.isnan(table)
    counts = scored.sum(axis=0)
    sums = np.where(scored, table, 0.0).sum(axis=0)
    averages = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return paired_difference(averages, control, level)


def mcnemar_exact(wins: int, losses: int) -> float:
    """Two-sided sign test of discordant pairs: min(1, 2 P(X <= min)), X ~ Binomial(wins + losses, 1/2).

    McNemar (1947) in its exact form; 1 if no pair is discordant. DataError for negative counts.
    """
    if min(wins, losses) < 0:
        raise DataError(f"{wins} wins and {losses} losses are no counts", "Count questions.")
    from scipy import special

    return min(1.0, 2 * float(special.bdtr(min(wins, losses), wins + losses, 0.5)))


def pair_up(
    scores: npt.ArrayLike, control: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both arrays without the questions that either lacks (nan); DataError for unequal shapes."""
    ours, theirs = np.asarray(scores, dtype=np.float64), np.asarray(control, dtype=np.float64)
    if ours.ndim != 1 or ours.shape != theirs.shape:
        raise DataError(
            f"scores have shape {ours.shape}, control {theirs.shape}",
            "Pass two flat arrays over the same questions in the same order.",
        )
    both = ~(np.isnan(ours) | np.isnan(theirs))
    return ours[both], theirs[both]


def difference_interval(differences: npt.NDArray[np.float64], level: float) -> Interval:
    """Student's interval, or where all n differences are the same c, an exact one for scores in [0, 1].

    A mean further from c than q (1 - |c|) needs a share q of other differences, of which none came up,
    which has the chance (1 - q)^n: so c +- (1 - |c|) (1 - ((1 - level) / 2)^(1/n)), the "rule of three".
    """
    check_level(level)
    if standard_error(differences):
        return t_interval(differences, level)
    n, mean = len(differences), float(differences[0])
    reach = max(0.0, 1 - abs(mean)) * (1 - ((1 - level) / 2) ** (1 / n))
    return Interval(mean, mean - reach, mean + reach, n, level)


def _t_test(differences: npt.NDArray[np.float64], wins: int, losses: int) -> float:
    """Two-sided p-value of a zero mean; without any spread that of the sign test."""
    from scipy import special

    error = standard_error(differences)
    if error == 0:
        return mcnemar_exact(wins, losses)
    return 2 * float(special.stdtr(len(differences) - 1, -abs(differences.mean()) / error))
