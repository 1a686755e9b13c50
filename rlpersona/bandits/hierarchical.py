"""Halving on a hierarchical model: arms lend strength to arms of like features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Floats, Ints
from rlpersona.bandits.beliefs import Beliefs, arm_features, guesses
from rlpersona.bandits.checks import real, whole
from rlpersona.bandits.staged import Staged, halvings

BATCHES = 16


class HierarchicalHalving(Staged):
    """Learn what the features say from telling arms, then halve on the posterior of all arms.

    The first stage spends `share` of the budget on `design` arms, chosen so that they tell most about
    the coefficients (Bayesian D-optimality, Chaloner & Verdinelli 1995, by batches of the largest
    x' C x, with C the posterior covariance after the batches before). Each stage after it evaluates the
    arms of highest posterior mean, out of *all* arms: `top` of them, then half as many, down to two;
    the stages share what is left of the budget equally. The model is that of `Beliefs`: `spread` and
    `explained` guess how far arms differ and how much of it the features explain, and the data correct
    them. Without informative features it amounts to halving with shrinkage among `design` random arms.
    """

    name = "hierarchical"
    contextual: ClassVar[bool] = True

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        features: npt.ArrayLike,
        budget: int,
        questions: int = 1,
        top: int = 1024,
        share: float = 0.3,
        design: int = 512,
        spread: float = 0.015,
        explained: float = 0.5,
    ) -> None:
        super().__init__(arms, seed, budget, questions)
        self.top = min(whole("top", top, low=2), max(2, self.arms))
        self.share = real("share", share, low=0, above=True, below=1)
        self.design = min(whole("design", design, low=2), self.arms)
        self.sizes = halvings(self.top)
        self.beliefs = Beliefs(
            arm_features(features, self.arms), *guesses(spread, explained), learn=True
        )
        # Arms of which the same is believed are told apart at random, not by their place in the roster.
        self._lot: Floats = self.rng.random(self.arms)
        self._policy: tuple[int, Floats] | None = None
        self._begin()

    def probabilities(self) -> Floats:
        """P(the arm is the best one) as believed after the last complete stage."""
        if self._policy is None or self._policy[0] != self.stage:
            self._policy = self.stage, self.beliefs.chance_best(self.seed)
        return self._policy[1].copy()

    def _plan(self) -> tuple[Ints, int]:
        if self.stage == 0:
            allowed = max(int(self.share * self.budget), 2 * self.questions)
            return self._telling(min(self.design, allowed // self.questions)), allowed
        step = self.stage - 1
        if step >= len(self.sizes):
            return np.zeros(0, np.int64), 0
        return self._ranking()[: self.sizes[step]], self.left // (len(self.sizes) - step)

    def _telling(self, count: int) -> Ints:
        """`count` arms that tell most about the coefficients."""
        rows = self.beliefs.features
        model, each = self.beliefs.model, self.share * self.budget / count
        weight = 1 / (model.residual + self.beliefs.noise() / each)
        precision = np.diag(np.full(rows.shape[1], 1 / self.beliefs.variances[0] if rows.size else 1.0))
        free = np.ones(self.arms, bool)
        chosen: list[Ints] = []
        for part in np.array_split(np.arange(count), min(BATCHES, count)):
            leverage = np.einsum("ij,ij->i", rows @ np.linalg.inv(precision), rows)
            leverage = np.where(free, leverage, -1.0)
            best = np.lexsort((self._lot, -leverage))[: len(part)]
            free[best] = False
            precision += weight * rows[best].T @ rows[best]
            chosen.append(best)
        return np.concatenate(chosen)

    def _absorb(self, counts: Ints, sums: Floats) -> None:
        self.beliefs.absorb(counts, sums)

    def _ranking(self) -> Ints:
        """By posterior mean; where that is equal, evaluated arms first."""
        return np.asarray(np.lexsort((self._lot, self.counts == 0, -self.beliefs.mean)), np.int64)

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "beliefs": self.beliefs.state(), "lot": self._lot.tolist()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        self.beliefs.restore(state["beliefs"])
        self._lot = np.array(state["lot"])
        self._policy = None
