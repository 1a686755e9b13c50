"""Ridge regression to find who looks good, halving to find who is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Floats, Ints, order, vector
from rlpersona.bandits.beliefs import arm_features
from rlpersona.bandits.checks import real, whole
from rlpersona.bandits.staged import Staged, halvings

PENALTIES = np.logspace(1, 8, 15)


class RidgeThenHalving(Staged):
    """A pass over all arms, a ridge regression on their features, halving among the `top` predicted.

    The first stage spends `share` of the budget evenly on all arms (on as many random ones as it pays
    for). Ridge regression of the arms' means, weighted by evaluations, with the penalty of least
    leave-one-out error (Hoerl & Kennard 1970; scikit-learn's RidgeCV), predicts all arms. The `top`
    best predicted go through sequential halving (Karnin, Koren & Somekh 2013) on their own means, with
    equal shares of what is left; arms that no stage has scored keep the order of the prediction.
    """

    name = "ridge-halving"
    contextual: ClassVar[bool] = True

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        features: npt.ArrayLike,
        budget: int,
        questions: int = 1,
        top: int = 256,
        share: float = 0.3,
    ) -> None:
        super().__init__(arms, seed, budget, questions)
        self.features = arm_features(features, self.arms)
        self.top = min(whole("top", top, low=2), max(2, self.arms))
        self.share = real("share", share, low=0, above=True, below=1)
        self.sizes = halvings(self.top)
        self.predicted: Floats = np.full(self.arms, 0.5)
        # Means of the halving alone: a first stage's luck is what brought an arm there.
        self._late_counts: Ints = np.zeros(self.arms, np.int64)
        self._late_sums: Floats = np.zeros(self.arms)
        # Best first: survivors by mean, then the dropped, the latest first, then the rest by prediction.
        self._order: Ints = self.rng.permutation(self.arms).astype(np.int64)
        self._begin()

    def probabilities(self) -> Floats:
        """Equal among the survivors, zero for all others."""
        survivors = self.arms if self.stage == 0 else 1
        if 0 < self.stage <= len(self.sizes):
            survivors = min(self.sizes[self.stage - 1], self.arms)
        policy = np.zeros(self.arms)
        policy[self._order[:survivors]] = 1 / survivors
        return policy

    def _plan(self) -> tuple[Ints, int]:
        if self.stage == 0:
            return self._order, max(int(self.share * self.budget), 2 * self.questions)
        step = self.stage - 1
        if step >= len(self.sizes):
            return np.zeros(0, np.int64), 0
        return self._order[: self.sizes[step]], self.left // (len(self.sizes) - step)

    def _absorb(self, counts: Ints, sums: Floats) -> None:
        if self.stage == 0:
            self._predict()
            self._order = self._order[order(self.predicted[self._order])]
            return
        alive = self._order[: self.sizes[self.stage - 1]]
        self._late_counts += counts
        self._late_sums += sums
        seen = self._late_counts[alive] > 0
        worth = np.where(seen, self._late_sums[alive] / np.maximum(self._late_counts[alive], 1), -1.0)
        self._order[: len(alive)] = alive[order(worth)]

    def _predict(self) -> None:
        seen = self.counts > 0
        if seen.sum() < 3 or not self.features.size:
            self.predicted = np.nan_to_num(self.means(), nan=0.5)
            return
        from sklearn.linear_model import RidgeCV

        model = RidgeCV(alphas=PENALTIES)
        model.fit(self.features[seen], self.means()[seen], sample_weight=self.counts[seen])
        self.predicted = np.asarray(model.predict(self.features), np.float64)

    def _ranking(self) -> Ints:
        return self._order

    def _state(self) -> dict[str, Any]:
        return {
            **super()._state(),
            "order": self._order.tolist(),
            "predicted": self.predicted.tolist(),
            "late_counts": self._late_counts.tolist(),
            "late_sums": self._late_sums.tolist(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        self._order = vector(state["order"], self.arms, np.int64)
        self.predicted = vector(state["predicted"], self.arms, np.float64)
        self._late_counts = vector(state["late_counts"], self.arms, np.int64)
        self._late_sums = vector(state["late_sums"], self.arms, np.float64)
