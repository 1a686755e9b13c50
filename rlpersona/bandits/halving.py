"""Sequential halving: a fixed budget spent on finding the best arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlpersona.bandits.base import Floats, Ints, order, ratio, vector
from rlpersona.bandits.checks import one_of
from rlpersona.bandits.staged import Staged
from rlpersona.errors import ConfigError


class SequentialHalving(Staged):
    """Evaluate all survivors equally, drop the worse half, repeat until one is left.

    Karnin, Koren & Somekh (2013): n arms go through ceil(log2 n) stages; each stage gets an equal
    share of the budget, split equally among its survivors, and keeps the ceil(half) of highest mean.
    What a stage cannot spend in whole passes goes to the stages after it.

    `budget` is counted in evaluations, `questions` is how many evaluations each selected arm gets.
    A pass selects every survivor once, in selections of at most k, and is one block: the survivors of
    a pass answer the same questions. The passes of a stage do not wait for each other, so a caller
    may gather selections; the end of a stage waits for all its updates, and `select` is empty until
    they came.

    `mode="cumulative"` ranks by all evaluations of an arm, `"fresh"` (the paper's) by those of the
    stage alone. Equal means are ordered at random; an arm without any score ranks last.

    Bracketing: a budget that does not pay one evaluation per arm in each stage's share is spent on
    the largest random subset of the arms (drawn by `seed`) that it does pay for. The others are never
    selected and rank last.
    """

    name = "halving"

    def __init__(
        self, arms: int, seed: int = 0, *, budget: int, questions: int = 1, mode: str = "cumulative"
    ) -> None:
        super().__init__(arms, seed, budget, questions)
        self.mode = one_of("mode", mode, ("cumulative", "fresh"))
        self.entrants = bracket(self.arms, self.budget // self.questions)
        # Survivors stand in front, best first; behind them the dropped, the latest first.
        self._order: Ints = np.arange(self.arms, dtype=np.int64)
        if self.entrants < self.arms:
            self._order = self.rng.permutation(self._order)
        self.survivors = self.entrants
        self._begin()

    @property
    def stages(self) -> int:
        """Number of stages of the whole run: ceil(log2 entrants)."""
        return (self.entrants - 1).bit_length()

    def probabilities(self) -> Floats:
        """Equal among the survivors, zero for all others."""
        policy = np.zeros(self.arms)
        policy[self._order[: self.survivors]] = 1 / self.survivors
        return policy

    def _ranking(self) -> Ints:
        """Survivors by mean, then the dropped: later stages first, in a stage by mean."""
        alive = self._order[: self.survivors]
        by_mean = alive[order(np.nan_to_num(self.means()[alive], nan=-1.0))]
        return np.concatenate([by_mean, self._order[self.survivors :]])

    def _least(self) -> int:
        return 1  # `bracket` says what more than one arm needs

    def _plan(self) -> tuple[Ints, int]:
        if self.stage == self.stages:
            return np.zeros(0, np.int64), 0
        return self._order[: self.survivors], self.left // (self.stages - self.stage)

    def _absorb(self, counts: Ints, sums: Floats) -> None:
        """Drop the worse half; equal means fall at random."""
        alive = self._order[: self.survivors]
        means = ratio(sums, counts) if self.mode == "fresh" else self.means()
        worth = np.nan_to_num(means[alive], nan=-1.0)
        shuffled = self.rng.permutation(self.survivors)
        self._order[: self.survivors] = alive[shuffled][order(worth[shuffled])]
        self.survivors = (self.survivors + 1) // 2

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "order": self._order.tolist(), "survivors": self.survivors}

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        self._order = vector(state["order"], self.arms, np.int64)
        self.survivors = int(state["survivors"])


def bracket(arms: int, evaluations: int) -> int:
    """The most arms, of `arms`, that get an evaluation each from an equal share of every stage.

    The largest n with n * ceil(log2 n) <= evaluations. ConfigError if not even two arms do.
    """
    if arms == 1:
        return 1
    sizes = np.arange(2, arms + 1)
    fits = sizes * np.ceil(np.log2(sizes)) <= evaluations
    if not fits[0]:
        raise ConfigError(
            "the budget does not pay for comparing two arms once",
            "Raise budget to at least twice the questions per selection.",
        )
    return int(sizes[fits][-1])
