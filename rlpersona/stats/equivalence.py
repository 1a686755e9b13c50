"""Evidence *for* no effect: a difference shown to be smaller than what would matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError
from rlpersona.stats.intervals import Interval, check_level, measured, mostly_equal, standard_error
from rlpersona.stats.paired import difference_interval, pair_up, score_variance, ternary


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
    """Two one-sided tests on paired scores, shape (questions,), nan for unscored (Schuirmann 1987).

    Null: |mean difference| >= margin. Of scores 0 or 1 these are Tango's (1998) score tests of
    +-margin, else t tests on the differences d: p = max(P(T >= (mean d + margin) / se),
    P(T <= (mean d - margin) / se)) with t[n-1]. Differences of which most are the same are judged by
    the chance of what did not come up, too, for scores in [0, 1]: (1 - (margin - m) / (1 - m))^n with
    m the mean, and likewise below. The interval is `difference_interval`'s of level 1 - 2 alpha, which
    says the same. State the margin, in points of score, before looking at the data.
    """
    check_level(1 - 2 * alpha)
    if not margin > 0 or not np.isfinite(margin):
        raise ConfigError(
            f"margin={margin!r} leaves no room", "Give the smallest gain that matters, as 0.02."
        )
    ours, theirs = pair_up(scores, control)
    differences = measured(ours - theirs)
    test = _score_test if ternary(differences) else _t_test
    p_value = max(test(differences, margin), test(-differences, margin))
    interval = difference_interval(differences, 1 - 2 * alpha)
    return Equivalence(interval, margin, p_value, p_value < alpha)


def _score_test(differences: npt.NDArray[np.float64], margin: float) -> float:
    """One-sided p-value of a true mean of at least `margin`; differences are -1, 0 or 1."""
    from scipy import special

    mean, n = float(differences.mean()), len(differences)
    if margin >= 1:
        return float(mean >= margin)
    variance = score_variance(int((differences > 0).sum()), int((differences < 0).sum()), n, margin)
    return float(special.ndtr((mean - margin) * np.sqrt(n / variance)))


def _t_test(differences: npt.NDArray[np.float64], margin: float) -> float:
    """One-sided p-value of a true mean of at least `margin`."""
    from scipy import special

    mean, n, error = float(differences.mean()), len(differences), standard_error(differences)
    if mean >= margin and not error:
        return 1.0
    p_value = float(special.stdtr(n - 1, (mean - margin) / error)) if error else 0.0
    if mostly_equal(differences) and mean < min(margin, 1):
        p_value = max(p_value, max(0.0, (1 - margin) / (1 - mean)) ** n)
    return p_value
