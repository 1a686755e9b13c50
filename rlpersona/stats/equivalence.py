"""Evidence *for* no effect: a difference shown to be smaller than what would matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError
from rlpersona.stats.intervals import Interval, check_level, measured, standard_error
from rlpersona.stats.paired import difference_interval, pair_up


@dataclass(frozen=True, slots=True)
class Equivalence:
    """`equivalent` is `p_value < alpha`, and the same as `difference` lying within +-`margin`."""

    difference: Interval
    margin: float
    p_value: float
    equivalent: bool


def tost(
    scores: npt.ArrayLike, control: npt.ArrayLike, margin: float, alpha: float = 0.05
) -> Equivalence:
    """Two one-sided t tests on paired scores, shape (questions,), nan for unscored (Schuirmann 1987).

    Null: |mean difference| >= margin. With t[n-1] of the differences d,
    p = max(P(T >= (mean d + margin) / se), P(T <= (mean d - margin) / se)), and the interval is the
    one of level 1 - 2 alpha. Differences that are all the same c are judged by the chance of that,
    p = (1 - (margin - |c|) / (1 - |c|))^n for scores in [0, 1]; see `difference_interval`.
    State the margin, in points of score, before looking at the data.
    """
    check_level(1 - 2 * alpha)
    if not margin > 0 or not np.isfinite(margin):
        raise ConfigError(
            f"margin={margin!r} leaves no room", "Give the smallest gain that matters, as 0.02."
        )
    from scipy import special

    ours, theirs = pair_up(scores, control)
    differences = measured(ours - theirs)
    n, away, error = len(differences), abs(float(differences.mean())), standard_error(differences)
    if error:
        p_value = float(special.stdtr(n - 1, (away - margin) / error))
    else:
        p_value = min(1.0, max(0.0, (1 - margin) / (1 - away)) ** n) if away < min(margin, 1) else 1.0
    interval = difference_interval(differences, 1 - 2 * alpha)
    return Equivalence(interval, margin, p_value, p_value < alpha)
