"""Planners that spend a fixed budget in stages, each stage on fewer arms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rlpersona.bandits.base import Bandit, Floats, Ints, vector
from rlpersona.bandits.checks import whole
from rlpersona.errors import ConfigError, DataError

NUMBERS = ("stage", "spent", "_block", "_passes", "_cursor", "_open", "_scored")


class Staged(Bandit):
    """A stage evaluates its arms in equal passes; the next one is planned from all that came before.

    `budget` is counted in evaluations, `questions` is how many evaluations a selected arm gets. A pass
    selects each arm of the stage once, in selections of at most k, and is one block: its arms answer
    the same questions. The passes of a stage do not wait for each other, so a caller may gather
    selections; the end of a stage waits for all its updates, and `select` is empty until they came.

    A subclass says in `_plan` which arms a stage gets and how many evaluations it may spend, and
    learns in `_absorb` from a stage that is complete.
    """

    plans: ClassVar[bool] = True

    def __init__(self, arms: int, seed: int, budget: int, questions: int) -> None:
        super().__init__(arms, seed)
        self.budget = whole("budget", budget, low=1)
        self.questions = whole("questions", questions, low=1)
        if self.budget < self._least():
            raise ConfigError(
                "the budget does not pay for comparing two arms once",
                "Raise budget to at least twice the questions per selection.",
            )
        self.stage = 0
        self.spent = 0
        self._block = -1
        self._open = self._scored = 0
        self._field: Ints = np.zeros(0, np.int64)

    def _least(self) -> int:
        """The smallest budget to begin with: two arms, compared once."""
        return 2 * self.questions

    @abstractmethod
    def _plan(self) -> tuple[Ints, int]:
        """The arms of the stage that `self.stage` numbers, best first, and the evaluations it may spend.

        No arms if all is done. Arms beyond what the evaluations pay for are left out.
        """

    @abstractmethod
    def _absorb(self, counts: Ints, sums: Floats) -> None:
        """Learn from a complete stage: evaluations and reward sums of each arm in it, shape (arms,)."""

    @property
    def left(self) -> int:
        """Evaluations that are not spent yet."""
        return self.budget - self.spent

    @property
    def block(self) -> int:
        """The pass of the last selection."""
        return max(self._block, 0)

    @property
    def finished(self) -> bool:
        """The last stage is complete."""
        return not len(self._field)

    def _begin(self) -> None:
        self._stage_counts: Ints = np.zeros(self.arms, np.int64)
        self._stage_sums: Floats = np.zeros(self.arms)
        field, allowed = self._plan()
        field = field[: min(allowed, self.left) // self.questions]
        self._field = np.asarray(field, np.int64)
        self._passes = min(allowed, self.left) // (self.questions * max(1, len(field)))
        self._cursor = len(field)

    def _select(self, k: int) -> Ints:
        if self._cursor == len(self._field):
            if not self._passes or self.finished:
                return np.zeros(0, np.int64)
            self._passes -= 1
            self._cursor = 0
            self._block += 1
        chosen = self._field[self._cursor : self._cursor + k].copy()
        self._cursor += len(chosen)
        self.spent += len(chosen) * self.questions
        self._open += 1
        return chosen

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
        if not self._open and not self._passes and self._cursor == len(self._field):
            self._absorb(self._stage_counts, self._stage_sums)
            self.stage += 1
            self._begin()

    def _state(self) -> dict[str, Any]:
        return {
            "field": self._field.tolist(),
            "stage_counts": self._stage_counts.tolist(),
            "stage_sums": self._stage_sums.tolist(),
            "numbers": [getattr(self, name) for name in NUMBERS],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._field = np.array(state["field"], np.int64)
        if self._field.ndim != 1 or not np.isin(self._field, np.arange(self.arms)).all():
            raise ValueError("the arms of the stage are not arms")
        self._stage_counts = vector(state["stage_counts"], self.arms, np.int64)
        self._stage_sums = vector(state["stage_sums"], self.arms, np.float64)
        for name, value in zip(NUMBERS, state["numbers"], strict=True):
            setattr(self, name, int(value))
        if not 0 <= self._cursor <= len(self._field):
            raise ValueError("the stage has fewer arms than were selected in its pass")


def halvings(first: int, least: int = 2) -> list[int]:
    """Sizes of the stages: `first`, then the rounded-up half of it, down to `least` or more."""
    sizes = [first]
    while (sizes[-1] + 1) // 2 >= least and sizes[-1] > least:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes
