"""What a validation may claim: intervals, paired and multiple tests, selection noise, power."""

from rlpersona.stats.agreement import Agreement, agreement
from rlpersona.stats.bradley_terry import BradleyTerry, bradley_terry
from rlpersona.stats.comparisons import Comparison
from rlpersona.stats.contrasts import ContrastTest, contrast_test, dose_means
from rlpersona.stats.crossed import CrossedEffect, crossed_effect, crossed_mean
from rlpersona.stats.dose_response import MixedDose, mixed_dose
from rlpersona.stats.emax import Emax, fit_emax, isotonic
from rlpersona.stats.equivalence import Equivalence, tost
from rlpersona.stats.intervals import (
    Interval,
    bounded_interval,
    clopper_pearson,
    t_interval,
    unseen_share,
    wilson,
)
from rlpersona.stats.mcnemar import McNemar, mcnemar
from rlpersona.stats.multiple import benjamini_hochberg, holm
from rlpersona.stats.overoptimization import Overoptimization, fit_overoptimization
from rlpersona.stats.paired import PairedDifference, mcnemar_exact, paired_difference, set_difference
from rlpersona.stats.permutation import SignFlip, prompt_means, sign_flip
from rlpersona.stats.power import detectable_gain
from rlpersona.stats.run_values import run_values
from rlpersona.stats.selection import null_maximum, null_maximum_quantile
from rlpersona.stats.shrinkage import Shrunk, shrink
from rlpersona.stats.trend import SeedSlopes, Trend, permutation_trend, seed_slopes
from rlpersona.stats.win_rate import (
    ControlledRate,
    PositionBias,
    WinRate,
    length_controlled,
    position_bias,
    win_rate,
)
from rlpersona.stats.win_rate_power import detectable_difference, detectable_win_rate, win_rate_power

__all__ = [
    "Agreement",
    "BradleyTerry",
    "Comparison",
    "ContrastTest",
    "ControlledRate",
    "CrossedEffect",
    "Emax",
    "Equivalence",
    "Interval",
    "McNemar",
    "MixedDose",
    "Overoptimization",
    "PairedDifference",
    "PositionBias",
    "SeedSlopes",
    "Shrunk",
    "SignFlip",
    "Trend",
    "WinRate",
    "agreement",
    "benjamini_hochberg",
    "bounded_interval",
    "bradley_terry",
    "clopper_pearson",
    "contrast_test",
    "crossed_effect",
    "crossed_mean",
    "detectable_difference",
    "detectable_gain",
    "detectable_win_rate",
    "dose_means",
    "fit_emax",
    "fit_overoptimization",
    "holm",
    "isotonic",
    "length_controlled",
    "mcnemar",
    "mcnemar_exact",
    "mixed_dose",
    "null_maximum",
    "null_maximum_quantile",
    "paired_difference",
    "permutation_trend",
    "position_bias",
    "prompt_means",
    "run_values",
    "seed_slopes",
    "set_difference",
    "shrink",
    "sign_flip",
    "t_interval",
    "tost",
    "unseen_share",
    "wilson",
    "win_rate",
    "win_rate_power",
]
