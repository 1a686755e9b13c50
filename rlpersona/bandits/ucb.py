"""UCB1: optimism in the face of uncertainty."""

from __future__ import annotations

import numpy as np

from rlpersona.bandits.base import Floats
from rlpersona.bandits.checks import real
from rlpersona.bandits.means import IndexBandit, optimistic


class UCB1(IndexBandit):
    """Selects the highest mean + sqrt(c ln t / n), n of the arm's evaluations among t of all.

    Auer, Cesa-Bianchi & Fischer (2002) prove logarithmic regret for c = 2, the default; rewards in
    [0, 1] that vary less allow a smaller one. Arms without evaluation come first.
    """

    name = "ucb"

    def __init__(self, arms: int, seed: int = 0, *, c: float = 2.0) -> None:
        super().__init__(arms, seed)
        self.c = real("c", c, low=0)

    def index(self) -> Floats:
        """The upper confidence bound, infinite for an arm without evaluation."""
        return optimistic(self.sums, self.counts, self.c * np.log(max(1, self.counts.sum())))
