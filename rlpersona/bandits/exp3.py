"""Exp3: exponential weights, which assume nothing of how the rewards come about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Bandit, Floats, Ints, order, vector
from rlpersona.bandits.checks import real


class Exp3(Bandit):
    """Draws from p = (1 - gamma) w / sum(w) + gamma / K, and learns w_a *= exp(gamma / K * r / p_a).

    Auer, Cesa-Bianchi, Freund & Schapire (2002), over K arms. Dividing a reward by the chance that its
    arm had to be drawn makes the sum unbiased for every arm; an update that comes late divides by
    the `chances` of its own selection. Each evaluation of an update counts as one trial. The
    guarantee holds against any rewards; what it costs is speed where the rewards are plain averages.
    """

    name = "exp3"

    def __init__(self, arms: int, seed: int = 0, *, gamma: float = 0.1) -> None:
        super().__init__(arms, seed)
        self.gamma = real("gamma", gamma, low=0, above=True, high=1)
        self.log_weights: Floats = np.zeros(self.arms)

    def probabilities(self) -> Floats:
        """The mixture p of the class docstring."""
        weights = np.exp(self.log_weights - self.log_weights.max())
        return np.asarray((1 - self.gamma) * weights / weights.sum() + self.gamma / self.arms)

    def chances(self, arms: npt.ArrayLike) -> Floats:
        """The mixture at these arms."""
        return self.probabilities()[np.asarray(arms, np.int64)]

    def _select(self, k: int) -> Ints:
        return self.rng.choice(self.arms, size=k, p=self.probabilities())

    def _ranking(self) -> Ints:
        """By weight, which tells arms apart whose probability rounds to the floor."""
        return order(self.log_weights)

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        drawn = self.chances(arms) if chances is None else chances
        gains = np.bincount(arms, weights=rewards / drawn, minlength=self.arms)
        self.log_weights += self.gamma / self.arms * gains
        # Only differences count; a falling top keeps the sums from growing without end.
        self.log_weights -= self.log_weights.max()

    def _state(self) -> dict[str, Any]:
        return {"log_weights": self.log_weights.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.log_weights = vector(state["log_weights"], self.arms, np.float64)
