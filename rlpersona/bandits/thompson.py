"""Thompson sampling with a Beta posterior per arm."""

from __future__ import annotations

import numpy as np

from rlpersona.bandits.base import Bandit, Floats, Ints, order
from rlpersona.bandits.checks import real, whole

CELLS = 1 << 20
"""Posterior draws held at once: 8 MB, however many arms there are."""


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
        draws: int = 1000,
    ) -> None:
        super().__init__(arms, seed)
        self.prior_successes = real("prior_successes", prior_successes, low=0, above=True)
        self.prior_failures = real("prior_failures", prior_failures, low=0, above=True)
        self.draws = whole("draws", draws, low=1)

    def posterior(self) -> tuple[Floats, Floats]:
        """The two Beta parameters of each arm, each of shape (arms,)."""
        successes = self.prior_successes + self.sums
        # Sums of fractions may pass the count by a rounding error; a parameter must stay positive.
        failures = self.prior_failures + np.maximum(self.counts - self.sums, 0.0)
        return successes, failures

    def probabilities(self) -> Floats:
        """P(the arm is the best one), the frequency among `draws` draws of all posteriors.

        The standard error is at most sqrt(1 / (4 draws)): 1.6 points at 1,000. The draws come from a
        generator of their own, seeded alike on every call.
        """
        successes, failures = self.posterior()
        rng = np.random.default_rng([self.seed, 1])
        best = np.zeros(self.arms, np.int64)
        rows = max(1, CELLS // self.arms)
        for start in range(0, self.draws, rows):
            means = rng.beta(successes, failures, size=(min(rows, self.draws - start), self.arms))
            best += np.bincount(means.argmax(axis=1), minlength=self.arms)
        return np.asarray(best / self.draws)

    def _select(self, k: int) -> Ints:
        draw = self.rng.beta(*self.posterior())
        return order(draw)[:k]

    def _ranking(self) -> Ints:
        """By posterior mean, which tells arms apart whose chance to be best rounds to zero."""
        successes, failures = self.posterior()
        return order(successes / (successes + failures))
