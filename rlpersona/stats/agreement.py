"""Whether two raters who label the same items mean the same thing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval, check_level, wilson


@dataclass(frozen=True, slots=True)
class Agreement:
    """Share of items labelled alike, and Cohen's kappa: that share beyond what chance would give.

    `kappa` is None where both raters gave one and the same label to all: there is no chance to beat.
    """

    share: Interval
    kappa: Interval | None


def agreement(first: Sequence[Hashable], second: Sequence[Hashable], level: float = 0.95) -> Agreement:
    """Of two raters' labels of the same items, in the same order.

    kappa = (p_o - p_e) / (1 - p_e) (Cohen 1960), p_o the share labelled alike, p_e that of independent
    raters with the same margins; its normal interval has the variance of Fleiss, Cohen & Everitt (1969),
    cut at -1 and 1, and is a point where they agree on everything. The share's interval is Wilson's.
    Raises DataError for unequal lengths or no item.
    """
    check_level(level)
    if len(first) != len(second) or not len(first):
        raise DataError(
            f"{len(first)} labels beside {len(second)}", "Pass both raters' labels of the same items."
        )
    from scipy import special
    from statsmodels.stats.inter_rater import cohens_kappa

    labels = {label: k for k, label in enumerate(dict.fromkeys([*first, *second]))}
    table = np.zeros((len(labels), len(labels)))
    for one, other in zip(first, second, strict=True):
        table[labels[one], labels[other]] += 1
    share = wilson(int(np.trace(table)), len(first), level)
    if len(labels) == 1:
        return Agreement(share, None)
    with np.errstate(invalid="ignore"):  # a variance that rounding makes negative is zero
        found = cohens_kappa(table)
    kappa = float(found.kappa)
    reach = float(special.ndtri(0.5 + level / 2)) * max(0.0, float(found.var_kappa)) ** 0.5
    low, high = max(-1.0, kappa - reach), min(1.0, kappa + reach)
    return Agreement(share, Interval(kappa, low, high, len(first), level))
