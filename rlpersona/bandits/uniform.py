"""The same number of evaluations for every arm: what any cleverer policy has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rlpersona.bandits.base import Ints, vector
from rlpersona.bandits.means import BestMean


class UniformAllocation(BestMean):
    """Round robin in a random order (drawn by `seed`), k arms at a time; the highest mean wins.

    A pass over all arms is one block: its arms answer the same questions, whose difficulty cancels.
    The last selection of a pass holds what is left of it.
    """

    name = "uniform"
    plans: ClassVar[bool] = True

    def __init__(self, arms: int, seed: int = 0) -> None:
        super().__init__(arms, seed)
        self._order: Ints = self.rng.permutation(self.arms)
        self._cursor = self.arms
        self._block = -1

    @property
    def block(self) -> int:
        """The pass of the last selection."""
        return max(self._block, 0)

    def _select(self, k: int) -> Ints:
        if self._cursor == self.arms:
            self._cursor = 0
            self._block += 1
        chosen = self._order[self._cursor : self._cursor + k].copy()
        self._cursor += len(chosen)
        return chosen

    def _state(self) -> dict[str, Any]:
        return {"order": self._order.tolist(), "cursor": self._cursor, "block": self._block}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._order = vector(state["order"], self.arms, np.int64)
        self._cursor = int(state["cursor"])
        self._block = int(state["block"])
