"""Reward steps on the probabilities themselves, kept to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Bandit, Floats, Ints, vector
from rlpersona.bandits.checks import real
from rlpersona.bandits.late import late_weights


class ProbabilityBandit(Bandit):
    """p_a += lr (r - mean reward of the update) for each evaluation; clip at a floor, renormalise.

    On average an update moves p_a by lr N p_a (mu_a - J), J = sum_b p_b mu_b: the replicator equation,
    a sound direction. It is no gradient step on a softmax, though. A single step is of size lr, not
    lr p_a, so that among many arms the noise of one evaluation moves p_a by many times its own size,
    and the clip, which only ever lifts, turns that noise into bias: an unlucky arm drops to the floor
    and is seldom drawn again. `lr` has to stay well below 1 / arms, and then little is learned.

    `floor` is a share of the uniform probability: p_a stays about `floor` / arms or above. Late
    updates are weighted as in REINFORCE, with weights of at most `max_weight`.
    """

    name = "probability"

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        lr: float = 0.01,
        floor: float = 0.01,
        max_weight: float = 2.0,
    ) -> None:
        super().__init__(arms, seed)
        self.lr = real("lr", lr, low=0, above=True)
        self.floor = real("floor", floor, low=0, above=True, high=1)
        self.max_weight = real("max_weight", max_weight, low=1)
        self._policy: Floats = np.full(self.arms, 1 / self.arms)

    def probabilities(self) -> Floats:
        """The probabilities that the updates move."""
        return self._policy.copy()

    def chances(self, arms: npt.ArrayLike) -> Floats:
        """The probabilities of these arms."""
        return self._policy[np.asarray(arms, np.int64)]

    def _select(self, k: int) -> Ints:
        return self.rng.choice(self.arms, size=k, p=self._policy)

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        if not len(rewards):
            return
        steps = rewards - rewards.mean()
        if chances is not None:
            steps *= late_weights(self._policy[arms], chances, self.max_weight)
        moved = self._policy + self.lr * np.bincount(arms, weights=steps, minlength=self.arms)
        clipped = np.maximum(moved, self.floor / self.arms)
        self._policy = clipped / clipped.sum()

    def _state(self) -> dict[str, Any]:
        return {"policy": self._policy.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._policy = vector(state["policy"], self.arms, np.float64)
