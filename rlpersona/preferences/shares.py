"""A share with an interval that knows that pairs of one prompt are not independent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlpersona.stats import Interval, wilson


def share(hits: Sequence[bool], groups: Sequence[str], level: float = 0.95) -> Interval | None:
    """The share of hits; its interval counts groups (prompts) as the independent units. None for none.

    One item a group, or a share of 0 or 1: Wilson's interval with n = groups. Otherwise Student's on the
    linearised residuals of the ratio r = sum x / sum m over groups (Cochran 1977, 6.3):
    se^2 = G/(G-1) sum (x_g - r m_g)^2 / (sum m)^2, cut to [0, 1].
    """
    if not hits:
        return None
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(index).astype(float)
    found = np.bincount(index, weights=np.asarray(hits, dtype=float))
    ratio, n = float(found.sum() / sizes.sum()), len(names)
    if sizes.max() == 1 or ratio in (0.0, 1.0) or n < 2:
        low_high = wilson(round(ratio * n), n, level)
        return Interval(ratio, min(low_high.low, ratio), max(low_high.high, ratio), n, level)
    from scipy import special

    error = float(np.sqrt(n / (n - 1) * ((found - ratio * sizes) ** 2).sum()) / sizes.sum())
    reach = float(special.stdtrit(n - 1, 0.5 + level / 2)) * error
    return Interval(ratio, max(0.0, ratio - reach), min(1.0, ratio + reach), n, level)
