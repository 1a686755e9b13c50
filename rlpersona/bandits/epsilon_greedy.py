"""Greedy, but for a fixed share of random arms."""

from __future__ import annotations

import numpy as np

from rlpersona.bandits.base import Floats, Ints
from rlpersona.bandits.checks import real
from rlpersona.bandits.greedy import Greedy
from rlpersona.bandits.means import some, top


class EpsilonGreedy(Greedy):
    """Each of the k arms of a selection is, with probability `epsilon`, a random one, else a best one.

    The random ones are drawn from all arms; the others are the best of the rest, so that the arms of
    a selection differ. One arm at a time this is the textbook's policy (Sutton & Barto 2018, section
    2.2). `initial` is what an arm without evaluation counts as: at 1 all are tried first.
    """

    name = "epsilon-greedy"

    def __init__(self, arms: int, seed: int = 0, *, epsilon: float = 0.1, initial: float = 1.0) -> None:
        super().__init__(arms, seed, initial=initial)
        self.epsilon = real("epsilon", epsilon, low=0, high=1)

    def probabilities(self) -> Floats:
        """`epsilon` in equal parts on all arms, the rest on the arm of the highest mean reward."""
        return np.asarray(self.epsilon / self.arms + (1 - self.epsilon) * super().probabilities())

    def _select(self, k: int) -> Ints:
        k = min(k, self.arms)
        explored = int((self.rng.random(k) < self.epsilon).sum())
        if not explored:
            return super()._select(k)
        explorers = some(self.arms, explored, self.rng)
        if explored == k:
            return explorers
        index = self.index()
        index[explorers] = -np.inf
        return np.concatenate([top(index, k - explored, self.rng), explorers])
