"""Sequential halving: a fixed budget spent on finding the best arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rlpersona.bandits.base import Bandit, Floats, Ints, order, ratio, vector
from rlpersona.bandits.checks import one_of, whole
from rlpersona.errors import ConfigError, DataError

COUNTERS = ("survivors", "stage", "spent", "_block", "_scored", "_open", "_cursor", "_passes")


class SequentialHalving(Bandit):
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
    plans: ClassVar[bool] = True

    def __init__(
        self, arms: int, seed: int = 0, *, budget: int, questions: int = 1, mode: str = "cumulative"
    ) -> None:
        super().__init__(arms, seed)
        self.budget = whole("budget", budget, low=1)
        self.questions = whole("questions", questions, low=1)
        self.mode = one_of("mode", mode, ("cumulative", "fresh"))
        self.entrants = bracket(self.arms, self.budget // self.questions)
        # Survivors stand in front, best first; behind them the dropped, the latest first.
        self._order: Ints = np.arange(self.arms, dtype=np.int64)
        if self.entrants < self.arms:
            self._order = self.rng.permutation(self._order)
        self.survivors = self.entrants
        self.stage = 0
        self.spent = 0
        self._block = -1
        self._scored = 0
        self._open = 0
        self._cursor = self._passes = 0
        self._begin_stage()

    @property
    def stages(self) -> int:
        """Number of stages of the whole run: ceil(log2 entrants)."""
        return (self.entrants - 1).bit_length()

    @property
    def block(self) -> int:
        """The pass of the last selection."""
        return max(self._block, 0)

    @property
    def finished(self) -> bool:
        """One arm is left."""
        return self.stage == self.stages

    def probabilities(self) -> Floats:
        """Equal among the survivors, zero for all others."""
        policy = np.zeros(self.arms)
        policy[self._order[: self.survivors]] = 1 / self.survivors
        return policy

    def _select(self, k: int) -> Ints:
        if self._cursor == self.survivors:
            if not self._passes:
                return np.zeros(0, np.int64)
            self._passes -= 1
            self._cursor = 0
            self._block += 1
        chosen = self._order[self._cursor : min(self._cursor + k, self.survivors)].copy()
        self._cursor += len(chosen)
        self.spent += len(chosen) * self.questions
        self._open += 1
        return chosen

    def _ranking(self) -> Ints:
        """Survivors by mean, then the dropped: later stages first, in a stage by mean."""
        alive = self._order[: self.survivors]
        by_mean = alive[order(np.nan_to_num(self.means()[alive], nan=-1.0))]
        return np.concatenate([by_mean, self._order[self.survivors :]])

    def _checked(self, arms: Any, rewards: Any) -> tuple[Ints, Floats]:
        pulled, earned = super()._checked(arms, rewards)
        if not self._open or self._scored + len(pulled) > self.spent:
            raise DataError(
                f"update of {len(pulled)} evaluations: {self._open} selections await theirs, "
                f"of {self.spent - self._scored} evaluations at most",
                "Give one update per selection, and each selected arm as many questions as the "
                f"bandit was built for ({self.questions}).",
            )
        return pulled, earned

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        self._scored += len(arms)
        self._open -= 1
        self._stage_counts += np.bincount(arms, minlength=self.arms)
        self._stage_sums += np.bincount(arms, weights=rewards, minlength=self.arms)
        if not self._open and not self._passes and self._cursor == self.survivors:
            self._drop_half()

    def _begin_stage(self) -> None:
        self._stage_counts: Ints = np.zeros(self.arms, np.int64)
        self._stage_sums: Floats = np.zeros(self.arms)
        self._cursor = self.survivors
        self._passes = 0
        if not self.finished:
            share = (self.budget - self.spent) // (self.stages - self.stage)
            self._passes = share // (self.survivors * self.questions)

    def _drop_half(self) -> None:
        alive = self._order[: self.survivors]
        fresh = self.mode == "fresh"
        means = ratio(self._stage_sums, self._stage_counts) if fresh else self.means()
        worth = np.nan_to_num(means[alive], nan=-1.0)
        shuffled = self.rng.permutation(self.survivors)
        self._order[: self.survivors] = alive[shuffled][order(worth[shuffled])]
        self.survivors = (self.survivors + 1) // 2
        self.stage += 1
        self._begin_stage()

    def _state(self) -> dict[str, Any]:
        return {
            "order": self._order.tolist(),
            "stage_counts": self._stage_counts.tolist(),
            "stage_sums": self._stage_sums.tolist(),
            "counters": [getattr(self, counter) for counter in COUNTERS],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._order = vector(state["order"], self.arms, np.int64)
        self._stage_counts = vector(state["stage_counts"], self.arms, np.int64)
        self._stage_sums = vector(state["stage_sums"], self.arms, np.float64)
        for counter, value in zip(COUNTERS, state["counters"], strict=True):
            setattr(self, counter, int(value))


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
