"""A policy that picks the persona for the question: question features -> persona."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Bandit, Floats, Ints, order
from rlpersona.bandits.checks import real, whole
from rlpersona.bandits.late import late_weights
from rlpersona.errors import DataError

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class PerQuestion(Bandit):
    r"""Softmax over the arms given a question's features x, learned by REINFORCE:

        pi(a | x) = softmax(W x + b)[a],
        g = 1/N sum_i w_i (r_i - m_i) (e[a_i] - pi(. | x_i)) [x_i, 1]',

    over the N evaluations of an update, with m_i the mean reward of the *other* evaluations of the same
    question (leave one out, Kool et al. 2019: unbiased, and a question's difficulty cancels), and
    w_i = min(max_weight, pi(a_i | x_i) / chance_i), the truncated importance weight of an action drawn
    before the policy moved (Espeholt et al. 2018). A question with one evaluation teaches nothing: it
    has nothing to be compared with. Steps are Adam's (Kingma & Ba 2015) of size `lr`, and `decay`
    pulls W, which has many more weights than b, towards zero (Loshchilov & Hutter 2019).

    `select_for`, `update_for`, `chances_for` and `best_for` work on questions. Without any, it is a
    bandit whose policy is the average over the questions seen (`probabilities`); a plain `update` counts
    its evaluations as answers to one question of no features, which moves b alone.
    """

    name = "per-question"
    per_question: ClassVar[bool] = True
    """Whether it selects arms for each question apart, from the question's features."""

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        context_size: int,
        lr: float = 0.05,
        decay: float = 0.01,
        max_weight: float = 2.0,
    ) -> None:
        super().__init__(arms, seed)
        self.context_size = whole("context_size", context_size, low=1)
        self.lr = real("lr", lr, low=0, above=True)
        self.decay = real("decay", decay, low=0)
        self.max_weight = real("max_weight", max_weight, low=1)
        shape = (self.arms, self.context_size + 1)
        self.weights: Floats = np.zeros(shape)
        """W and, in the last column, b: shape (arms, context_size + 1)."""
        self._first: Floats = np.zeros(shape)
        self._second: Floats = np.zeros(shape)
        self._steps = 0
        self._policy_sum: Floats = np.zeros(self.arms)
        self._questions = 0

    def policy(self, contexts: npt.ArrayLike) -> Floats:
        """pi(. | x) for contexts of shape (m, context_size): shape (m, arms)."""
        logits = self._with_one(contexts) @ self.weights.T
        worth = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(worth / worth.sum(axis=1, keepdims=True))

    def select_for(self, contexts: npt.ArrayLike, k: int) -> Ints:
        """`k` arms for each question, drawn with replacement: shape (m, k)."""
        cumulative = self.policy(contexts).cumsum(axis=1)
        draws = self.rng.random((len(cumulative), whole("k", k, low=1)))
        found = [
            np.searchsorted(line, draw * line[-1], "right")
            for line, draw in zip(cumulative, draws, strict=True)
        ]
        chosen = np.array(found, np.int64).reshape(draws.shape)
        self.selections += 1
        return np.minimum(chosen, self.arms - 1)

    def chances_for(self, contexts: npt.ArrayLike, arms: npt.ArrayLike) -> Floats:
        """pi(arm | x) of each pair at present: contexts (n, context_size), arms (n,) -> (n,)."""
        pulled = np.asarray(arms, np.int64)
        return np.asarray(self.policy(contexts)[np.arange(len(pulled)), pulled])

    def best_for(self, contexts: npt.ArrayLike) -> Ints:
        """The likeliest arm for each question, the first of equal ones: shape (m,)."""
        return np.asarray(self.policy(contexts).argmax(axis=1), np.int64)

    def update_for(
        self,
        contexts: npt.ArrayLike,
        arms: npt.ArrayLike,
        rewards: npt.ArrayLike,
        chances: npt.ArrayLike | None = None,
    ) -> None:
        """Learn from evaluations: contexts (n, context_size), and flat arms, rewards, chances (n,).

        Equal rows of `contexts` are one question. Errors as for `update`.
        """
        pulled, earned = self._checked(arms, rewards)
        rows = self._with_one(contexts)
        if len(rows) != len(pulled):
            raise DataError(
                f"{len(rows)} contexts for {len(pulled)} evaluations", "Give one row per evaluation."
            )
        drawn = None if chances is None else self._checked_chances(chances, len(pulled))
        self.counts += np.bincount(pulled, minlength=self.arms)
        self.sums += np.bincount(pulled, weights=earned, minlength=self.arms)
        if len(pulled):
            self._ascend(rows, pulled, earned, drawn)
        self.updates += 1

    def probabilities(self) -> Floats:
        """The policy averaged over the questions seen, as it was when it saw them.

        An average with a memory of about 1,000 questions; before any question, that of no features.
        """
        if not self._questions:
            return np.asarray(self.policy(np.zeros((1, self.context_size)))[0])
        return np.asarray(self._policy_sum / self._policy_sum.sum())

    def chances(self, arms: npt.ArrayLike) -> Floats:
        """The average policy's chance of each arm."""
        return np.asarray(self.probabilities()[np.asarray(arms, np.int64)])

    def _select(self, k: int) -> Ints:
        return self.rng.choice(self.arms, size=k, p=self.probabilities()).astype(np.int64)

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        if len(arms):
            self._ascend(
                self._with_one(np.zeros((len(arms), self.context_size))), arms, rewards, chances
            )

    def _ranking(self) -> Ints:
        """By average policy; where that is equal, by mean reward."""
        by_mean = order(np.nan_to_num(self.means(), nan=-1.0))
        return by_mean[order(self.probabilities()[by_mean])]

    def _ascend(self, rows: Floats, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        questions, which, sizes = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        which = which.ravel()
        policy = self.policy(questions[:, :-1])
        others = np.bincount(which, weights=rewards)[which] - rewards
        several = sizes[which] > 1
        baseline = np.divide(others, sizes[which] - 1, out=rewards.copy(), where=several)
        advantage = rewards - baseline
        if chances is not None:
            advantage = advantage * late_weights(policy[which, arms], chances, self.max_weight)

        pushed = np.zeros_like(policy)
        np.add.at(pushed, (which, arms), advantage)
        pushed -= policy * np.bincount(which, weights=advantage, minlength=len(questions))[:, None]
        self._adam(pushed.T @ questions / len(rewards))

        keep = max(0.0, 1 - len(questions) / 1000)
        self._policy_sum = keep * self._policy_sum + policy.sum(axis=0)
        self._questions += len(questions)

    def _adam(self, gradient: Floats) -> None:
        self._steps += 1
        self._first = BETA1 * self._first + (1 - BETA1) * gradient
        self._second = BETA2 * self._second + (1 - BETA2) * gradient**2
        first = self._first / (1 - BETA1**self._steps)
        second = self._second / (1 - BETA2**self._steps)
        self.weights[:, :-1] *= 1 - self.lr * self.decay
        self.weights += self.lr * first / (np.sqrt(second) + EPSILON)

    def _with_one(self, contexts: npt.ArrayLike) -> Floats:
        table = np.asarray(contexts, np.float64)
        if table.ndim != 2 or table.shape[1] != self.context_size or not np.isfinite(table).all():
            raise DataError(
                f"contexts of shape {table.shape}, or with values that are not finite",
                f"Give one row of {self.context_size} finite numbers per question.",
            )
        return np.hstack([table, np.ones((len(table), 1))])

    def _state(self) -> dict[str, Any]:
        return {
            "weights": self.weights.tolist(),
            "first": self._first.tolist(),
            "second": self._second.tolist(),
            "steps": self._steps,
            "policy_sum": self._policy_sum.tolist(),
            "questions": self._questions,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        tables = [np.array(state[name], np.float64) for name in ("weights", "first", "second")]
        if any(table.shape != self.weights.shape for table in tables):
            raise ValueError("weights have another shape than arms and context_size say")
        self.weights, self._first, self._second = tables
        self._policy_sum = np.array(state["policy_sum"], np.float64)
        self._steps, self._questions = int(state["steps"]), int(state["questions"])
