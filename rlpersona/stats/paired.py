"""Differences between scores on the same questions. The question is the unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval, bounded_interval, check_level, measured, standard_error


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

    If all scores are 0 or 1, the interval is Tango's and the p-value McNemar's exact test (McNemar
    1947); else Student's interval and the paired t test. Tango's is approximate while the exact
    p-value holds, so the two may disagree at the edge. Differences of other scores that are all equal
    have no spread: see `difference_interval`; their p-value is the sign test's.

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
    """Of scores in [0, 1]: Tango's (1998) score interval if all differences are -1, 0 or 1, else
    Student's, which `bounded_interval` widens where most of them are the same.

    Tango's holds the differences D whose score test does not reject: |b - c - n D| <= z sqrt(n v(D)),
    with b wins and c losses of n; see `score_variance`. Without any discordant pair it is
    +- z^2 / (n + z^2). It stays within [-1, 1] and counts on no spread that was not seen.
    """
    check_level(level)
    if not ternary(differences):
        return bounded_interval(differences, level, least=-1.0)
    n, wins, losses = len(differences), int((differences > 0).sum()), int((differences < 0).sum())
    low, high = -_score_end(losses, wins, n, level), _score_end(wins, losses, n, level)
    return Interval((wins - losses) / n, low, high, n, level)


def ternary(differences: npt.NDArray[np.float64]) -> bool:
    """Whether all differences are -1, 0 or 1, as those of right and wrong answers are."""
    return bool(np.isin(differences, (-1.0, 0.0, 1.0)).all())


def score_variance(wins: int, losses: int, n: int, difference: float) -> float:
    """Variance of one paired difference where its true mean is `difference`, in (-1, 1).

    2 q + D - D^2, with q the likeliest share of losses given D: the larger root of
    2n q^2 + (2nD - b - c - (b - c) D) q - c D (1 - D) = 0 (Tango 1998).
    """
    linear = (2 * n - wins + losses) * difference - wins - losses
    constant = -losses * difference * (1 - difference)
    root = np.sqrt(max(0.0, linear**2 - 8 * n * constant))
    return max(0.0, float((root - linear) / (2 * n) + difference - difference**2))


def _score_end(wins: int, losses: int, n: int, level: float) -> float:
    """Upper end of Tango's interval."""
    from scipy import optimize, special

    estimate, z = (wins - losses) / n, float(special.ndtri(0.5 + level / 2))
    if wins == n:
        return 1.0

    def surplus(difference: float) -> float:
        variance = score_variance(wins, losses, n, difference)
        return float((difference - estimate) * n**0.5 - z * variance**0.5)

    # At the estimate itself the variance may be zero, and the surplus with it.
    return float(optimize.brentq(surplus, estimate + 1e-9, 1.0, xtol=1e-12))


def _t_test(differences: npt.NDArray[np.float64], wins: int, losses: int) -> float:
    """Two-sided p-value of a zero mean; without any spread that of the sign test."""
    from scipy import special

    error = standard_error(differences)
    if error == 0:
        return mcnemar_exact(wins, losses)
    return 2 * float(special.stdtr(len(differences) - 1, -abs(differences.mean()) / error))
