"""Differences between scores on different questions."""

from __future__ import annotations

import numpy.typing as npt

from rlpersona.stats.intervals import Interval, check_level, measured, standard_error


def welch_difference(
    first: npt.ArrayLike, second: npt.ArrayLike, level: float = 0.95
) -> tuple[Interval, float]:
    """Mean of `first` minus mean of `second`, flat arrays over independent questions, and its p-value.

    Welch's (1947) t interval by scipy; nan is left out, and `n` counts the questions of both. Without
    any spread the interval is one point, and p is 1 or 0. DataError below two values on a side.
    """
    check_level(level)
    ours, theirs = measured(first), measured(second)
    estimate, n = float(ours.mean() - theirs.mean()), len(ours) + len(theirs)
    if not standard_error(ours) and not standard_error(theirs):
        return Interval(estimate, estimate, estimate, n, level), float(estimate == 0)
    from scipy import stats

    test = stats.ttest_ind(ours, theirs, equal_var=False)
    ends = test.confidence_interval(level)
    return Interval(estimate, float(ends.low), float(ends.high), n, level), float(test.pvalue)
