"""Thompson sampling with a Beta posterior per arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlpersona.bandits.base import Bandit, Floats, Ints, order
from rlpersona.bandits.best import chance_best
from rlpersona.bandits.checks import real
from rlpersona.bandits.means import top


class ThompsonSampling(Bandit):
    """Each selection draws a mean for every arm from its posterior and takes the highest ones.

    Beta-Bernoulli (Thompson 1933; Agrawal & Goyal 2012): an arm with n evaluations of reward sum s
    has the posterior Beta(prior_successes + s, prior_failures + n - s). A fractional reward counts
    as that share of a success; the posterior is then wider than the rewards' own spread allows, which
    is the safe side. A selection is the k highest means of one draw (multiple-play Thompson sampling,
    Komiyama et al. 2015): k different arms, because an arm drawn twice in a round would answer the same
    questions twice, which is no further evidence.
    """

    name = "thompson"

    def __init__(
        self,
        arms: int,
        seed: int = 0,
        *,
        prior_successes: float = 1.0,
        prior_failures: float = 1.0,
    ) -> None:
        super().__init__(arms, seed)
        self.prior_successes = real("prior_successes", prior_successes, low=0, above=True)
        self.prior_failures = real("prior_failures", prior_failures, low=0, above=True)
        self._chances: Floats | None = None

    def posterior(self) -> tuple[Floats, Floats]:
        """The two Beta parameters of each arm, each of shape (arms,)."""
        successes = self.prior_successes + self.sums
        # Sums of fractions may pass the count by a rounding error; a parameter must stay positive.
        failures = self.prior_failures + np.maximum(self.counts - self.sums, 0.0)
        return successes, failures

    def probabilities(self) -> Floats:
        """P(the arm is the best one) under the posterior, to 0.002; kept until the next update."""
        if self._chances is None:
            self._chances = chance_best(*self.posterior())
        return self._chances.copy()

    def _select(self, k: int) -> Ints:
        return top(self.rng.beta(*self.posterior()), k, self.rng)

    def _learn(self, arms: Ints, rewards: Floats, chances: Floats | None) -> None:
        self._chances = None

    def _restore(self, state: Mapping[str, Any]) -> None:
        self._chances = None

    def _ranking(self) -> Ints:
        """By posterior mean, which tells arms apart whose chance to be best rounds to zero."""
        successes, failures = self.posterior()
        return order(successes / (successes + failures))
