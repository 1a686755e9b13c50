"""Updates that come late: their arms were drawn from a policy that has moved on since."""

from __future__ import annotations

import numpy as np

from rlpersona.bandits.base import Floats


def late_weights(chances_now: Floats, chances_drawn: Floats, cap: float) -> Floats:
    """min(cap, now / drawn) for each evaluation: truncated importance weights.

    Uncapped, an average over draws of the old policy is weighted into one over the present policy.
    The cap bounds the variance at the price of a bias towards the old policy for arms that have since
    become more than `cap` times as likely (Ionides 2008; the clipped rho of IMPALA: Espeholt et al.
    2018).
    """
    return np.minimum(cap, chances_now / chances_drawn)
