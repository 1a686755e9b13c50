"""UCB-E: upper confidence bounds made for finding the best arm, not for earning on the way."""

from __future__ import annotations

from rlpersona.bandits.base import Floats
from rlpersona.bandits.checks import real, whole
from rlpersona.bandits.means import IndexBandit, optimistic

GAP = 0.1
"""Distance from the best arm at which the default exploration is aimed."""


class UCBE(IndexBandit):
    """Selects the highest mean + sqrt(a / n), n evaluations of the arm; recommends the highest mean.

    Audibert, Bubeck & Munos (2010): for `exploration` a up to 25/36 (budget - arms) / H, where H sums
    1 / gap^2 over the arms, the best arm is missed with probability at most 2 budget arms exp(-2a/25).
    H is unknown beforehand. By default it is taken as if every arm were `GAP` (ten points) from the
    best: a = 25/36 GAP^2 (budget / arms - 1). Arms that lie closer together call for a smaller one.

    `budget` is counted in evaluations and only sets that default: the caller stops. Arms without
    evaluation come first.
    """

    name = "ucbe"

    def __init__(
        self, arms: int, seed: int = 0, *, budget: int, exploration: float | None = None
    ) -> None:
        super().__init__(arms, seed)
        self.budget = whole("budget", budget, low=1)
        spare = max(0.0, self.budget / self.arms - 1)
        self.exploration = (
            25 / 36 * GAP**2 * spare if exploration is None else real("exploration", exploration, low=0)
        )

    def index(self) -> Floats:
        """The optimistic mean, infinite for an arm without evaluation."""
        return optimistic(self.sums, self.counts, self.exploration)
