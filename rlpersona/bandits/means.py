"""What the policies share that believe in the arm of the highest mean reward."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from rlpersona.bandits.base import Bandit, Floats, Ints, order


class BestMean(Bandit):
    """A bandit that would deploy the arm of the highest mean reward, whatever it explores meanwhile."""

    def worth(self) -> Floats:
        """Mean reward of each arm, -1 for an arm without evaluation, shape (arms,)."""
        return filled(self.sums, self.counts, -1.0)

    def probabilities(self) -> Floats:
        """All on the arm of the highest mean reward, in equal parts where several share it."""
        worth = self.worth()
        best = worth == worth.max()
        return np.asarray(best / best.sum())

    def _ranking(self) -> Ints:
        """By mean reward, arms without evaluation last."""
        return order(self.worth())


class IndexBandit(BestMean):
    """Selects the k arms of the highest index: different ones, equal ones in random order.

    Several arms at a time are "multiple plays" (Anantharam, Varaiya & Walrand 1987). With selections
    in flight the index knows nothing of them: an arm may be asked again before its answers are in.
    """

    @abstractmethod
    def index(self) -> Floats:
        """What each arm is worth trying at present, shape (arms,); may be infinite."""

    def _select(self, k: int) -> Ints:
        return top(self.index(), k, self.rng)


def top(worth: Floats, k: int, rng: np.random.Generator) -> Ints:
    """The k positions of highest worth, best first; of equal ones a random choice. O(len(worth))."""
    k = min(k, len(worth))
    last = worth.max() if k == 1 else np.partition(worth, len(worth) - k)[len(worth) - k]
    above = np.flatnonzero(worth > last)
    tied = np.flatnonzero(worth == last)
    if len(above) + len(tied) > k:
        tied = tied[some(len(tied), k - len(above), rng)]
    return np.concatenate([above[order(worth[above])], tied])


def some(n: int, k: int, rng: np.random.Generator) -> Ints:
    """`k` different numbers of 0..n-1, 1 <= k <= n, every set equally likely."""
    return np.argpartition(rng.random(n), k - 1)[:k]


def filled(sums: Floats, counts: Ints, otherwise: float) -> Floats:
    """Mean of each arm, `otherwise` for an arm without evaluation."""
    means: Floats = np.divide(sums, counts, out=np.full(len(sums), otherwise), where=counts > 0)
    return means


def optimistic(sums: Floats, counts: Ints, width: float) -> Floats:
    """Mean + sqrt(width / n) of each arm, infinite where n = 0."""
    tried = counts > 0
    n = np.where(tried, counts, 1)
    return np.where(tried, sums / n + np.sqrt(width / n), np.inf)
