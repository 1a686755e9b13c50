"""REINFORCE: gradient ascent on the expected reward of a softmax policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Bandit, Floats, Ints, order, vector
from rlpersona.bandits.checks import one_of, real
from rlpersona.bandits.late import late_weights

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class GradientBandit(Bandit):
    r"""Softmax over one logit per arm, moved along the policy gradient of the expected reward.

    With pi = softmax(theta) and an update of N evaluations (arm a_i, reward r_i, baseline b_i),

        g = 1/N sum_i w_i (r_i - b_i) (e[a_i] - pi)  +  entropy_bonus * dH/dtheta,
        dH/dtheta_j = -pi_j (log pi_j + H),    H = -sum_j pi_j log pi_j,

    which at `entropy_bonus=0` estimates dJ/dtheta_j = pi_j (mu_j - J), J = sum_j pi_j mu_j
    (Williams 1992; Sutton & Barto 2018, section 2.8).

    `baseline` takes variance out of g:
      "including"  mean reward of the update. Where all arms of an update saw the same questions, the
                   questions' difficulty cancels. An arm's own reward is part of the mean, so that with
                   k independent selections E[g] is (1 - 1/k) of the gradient: same direction.
      "excluding"  mean reward of the other arms of the update. That alone would favour likely arms,
                   which are absent from their own baseline: the advantage is therefore multiplied by
                   1 - pi(a_i), and E[g] is the gradient, up to the chance that all k selections are
                   the same arm (which teaches nothing).
      "ema"        running mean of the updates before this one (weight `ema_decay` on the past; the
                   first update uses its own mean). `ema_decay=1`: of all evaluations, equally.
      "none"       zero.

    An update that comes late was drawn from an older policy, whose `chances` come with it. Its
    evaluations are weighted by w_i = min(max_weight, pi(a_i) / chances_i), see `late_weights`; without
    `chances` w_i = 1. Below the cap E[g] is the gradient at the present policy, as above.
    `optimizer` is "sgd" (theta += lr g) or "adam" (Kingma & Ba 2015, betas .9 and .999, eps 1e-8).
    Adam moves each logit by about `lr` an update whatever the number of arms; SGD's steps shrink with
    the number of arms, since g does.
    """

    name = "reinforce"

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        lr: float = 0.1,
        optimizer: str = "adam",
        baseline: str = "including",
        ema_decay: float = 0.9,
        entropy_bonus: float = 0.0,
        max_weight: float = 2.0,
    ) -> None:
        super().__init__(arms, seed)
        self.lr = real("lr", lr, low=0, above=True)
        self.optimizer = one_of("optimizer", optimizer, ("adam", "sgd"))
        self.baseline = one_of("baseline", baseline, ("including", "excluding", "ema", "none"))
        self.ema_decay = real("ema_decay", ema_decay, low=0, high=1)
        self.entropy_bonus = real("entropy_bonus", entropy_bonus, low=0)
        self.max_weight = real("max_weight", max_weight, low=1)
        self.logits: Floats = np.zeros(self.arms)
        self._ema: float | None = None
        self._steps = 0
        self._first: Floats = np.zeros(self.arms)
        self._second: Floats = np.zeros(self.arms)

    def probabilities(self) -> Floats:
        """Softmax of the logits."""
        weights = np.exp(self.logits - self.logits.max())
        return np.asarray(weights / weights.sum())

    def chances(self, arms: npt.ArrayLike) -> Floats:
        """The softmax at these arms."""
        return self.probabilities()[np.asarray(arms, np.int64)]

    def gradient(self, arms: Ints, advantages: Floats) -> Floats:
        """The estimate g of the class docstring, shape (arms,), from at least one evaluation.

        `advantages` are the weighted ones, w_i (r_i - b_i).
        """
        policy = self.probabilities()
        pulled = np.bincount(arms, weights=advantages, minlength=self.arms)
        estimate = (pulled - policy * advantages.sum()) / len(advantages)
        if self.entropy_bonus:
            logs = np.log(np.maximum(policy, np.finfo(float).tiny))
            entropy = -(policy * logs).sum()
            estimate -= self.entropy_bonus * policy * (logs + entropy)
        return np.asarray(estimate)

    def _select(self, k: int) -> Ints:
        return self.rng.choice(self.arms, size=k, p=self.probabilities())

    def _ranking(self) -> Ints:
        """By logit; arms of equal logit by mean reward, those without any last."""
        by_mean = order(np.nan_to_num(self.means(), nan=-1.0))
        return by_mean[order(self.logits[by_mean])]

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        if not len(rewards):
            return
        now = self.chances(arms)
        advantages = self._advantages(arms, rewards, now if chances is None else chances)
        if chances is not None:
            advantages *= late_weights(now, chances, self.max_weight)
        self._ascend(self.gradient(arms, advantages))

    def _advantages(self, arms: Ints, rewards: Floats, drawn: Floats) -> Floats:
        """r_i - b_i of each evaluation, for "excluding" times 1 - the chance that the arm was drawn."""
        mean = float(rewards.mean())
        if self.baseline == "including":
            return rewards - mean
        if self.baseline == "excluding":
            others = len(rewards) - np.bincount(arms)[arms]
            earned = rewards.sum() - np.bincount(arms, weights=rewards)[arms]
            baseline = np.divide(earned, others, out=rewards.copy(), where=others > 0)
            return np.asarray((1 - drawn) * (rewards - baseline))
        if self.baseline == "none":
            return rewards.copy()
        before = mean if self._ema is None else self._ema
        share = 1 - self.ema_decay or len(rewards) / self.counts.sum()
        self._ema = float(before + share * (mean - before))
        return rewards - before

    def _ascend(self, gradient: Floats) -> None:
        self._steps += 1
        if self.optimizer == "sgd":
            self.logits += self.lr * gradient
            return
        self._first = BETA1 * self._first + (1 - BETA1) * gradient
        self._second = BETA2 * self._second + (1 - BETA2) * gradient**2
        first = self._first / (1 - BETA1**self._steps)
        second = self._second / (1 - BETA2**self._steps)
        self.logits += self.lr * first / (np.sqrt(second) + EPSILON)

    def _state(self) -> dict[str, Any]:
        return {
            "logits": self.logits.tolist(),
            "ema": self._ema,
            "steps": self._steps,
            "first": self._first.tolist(),
            "second": self._second.tolist(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.logits = vector(state["logits"], self.arms, np.float64)
        self._ema = None if state["ema"] is None else float(state["ema"])
        self._steps = int(state["steps"])
        self._first = vector(state["first"], self.arms, np.float64)
        self._second = vector(state["second"], self.arms, np.float64)
