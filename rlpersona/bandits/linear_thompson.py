"""Thompson sampling on a linear model of the arms' features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Bandit, Floats, Ints, order
from rlpersona.bandits.beliefs import Beliefs, arm_features, guesses


class LinearThompson(Bandit):
    """Each selection draws the means of all arms from their joint posterior and takes the highest ones.

    Linear Thompson sampling (Agrawal & Goyal 2013) with a deviation of its own for each arm: an arm's
    mean is mean + x'b + u, see `Beliefs`, with `spread` and `explained` taken as they are given. A
    selection is the k highest means of one draw, k different arms. An update counts as one set of
    common questions, whose difficulty is taken out.
    """

    name = "linear-thompson"
    contextual: ClassVar[bool] = True

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        features: npt.ArrayLike,
        spread: float = 0.015,
        explained: float = 0.5,
    ) -> None:
        super().__init__(arms, seed)
        table = arm_features(features, self.arms)
        self.beliefs = Beliefs(table, *guesses(spread, explained), learn=False)
        self._policy: tuple[int, Floats] | None = None

    def probabilities(self) -> Floats:
        """P(the arm is the best one), the frequency in 256 joint draws: standard error <= 3.1 points."""
        if self._policy is None or self._policy[0] != self.updates:
            self._policy = self.updates, self.beliefs.chance_best(self.seed)
        return self._policy[1].copy()

    def _select(self, k: int) -> Ints:
        return order(self.beliefs.draw(self.rng)[0])[:k]

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        counts = np.bincount(arms, minlength=self.arms).astype(np.int64)
        sums = np.bincount(arms, weights=rewards, minlength=self.arms)
        self.beliefs.absorb(counts, np.asarray(sums, np.float64))

    def _ranking(self) -> Ints:
        """By posterior mean."""
        return order(self.beliefs.mean)

    def _state(self) -> dict[str, Any]:
        return {"beliefs": self.beliefs.state()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.beliefs.restore(state["beliefs"])
        self._policy = None
