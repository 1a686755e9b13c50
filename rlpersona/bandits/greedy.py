"""The arm of the highest mean so far, with a start value for arms that have none."""

from __future__ import annotations

from rlpersona.bandits.base import Floats
from rlpersona.bandits.checks import real
from rlpersona.bandits.means import IndexBandit, filled


class Greedy(IndexBandit):
    """Selects the highest mean rewards; an arm without evaluation counts as `initial`.

    With `initial=1` (optimistic start: Sutton & Barto 2018, section 2.6) every arm is tried before any
    is repeated, but for those that have earned nothing but 1; then it exploits and explores no more.
    With `initial=0` it stays with the first arm that earns anything.
    """

    name = "greedy"

    def __init__(self, arms: int, seed: int = 0, *, initial: float = 1.0) -> None:
        super().__init__(arms, seed)
        self.initial = real("initial", initial, low=0)

    def index(self) -> Floats:
        """Mean reward, or the start value."""
        return filled(self.sums, self.counts, self.initial)
