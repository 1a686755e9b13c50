"""What a validation may claim: intervals, paired and multiple tests, selection noise, power."""

from rlpersona.stats.agreement import Agreement, agreement
from rlpersona.stats.crossed import CrossedEffect, crossed_effect, crossed_mean
from rlpersona.stats.equivalence import Equivalence, tost
from rlpersona.stats.intervals import (
    Interval,
    bounded_interval,
    clopper_pearson,
    t_interval,
    unseen_share,
    wilson,
)
from rlpersona.stats.multiple import benjamini_hochberg, holm
from rlpersona.stats.paired import PairedDifference, mcnemar_exact, paired_difference, set_difference
from rlpersona.stats.power import detectable_gain
from rlpersona.stats.selection import null_maximum, null_maximum_quantile
from rlpersona.stats.shrinkage import Shrunk, shrink

__all__ = [
    "Agreement",
    "CrossedEffect",
    "Equivalence",
    "Interval",
    "PairedDifference",
    "Shrunk",
    "agreement",
    "benjamini_hochberg",
    "bounded_interval",
    "clopper_pearson",
    "crossed_effect",
    "crossed_mean",
    "detectable_gain",
    "holm",
    "mcnemar_exact",
    "null_maximum",
    "null_maximum_quantile",
    "paired_difference",
    "set_difference",
    "shrink",
    "t_interval",
    "tost",
    "unseen_share",
    "wilson",
]
