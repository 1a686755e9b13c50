"""What to believe of arms with features: a normal model, free of how hard the questions were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.bandits.base import Floats, Ints, vector
from rlpersona.bandits.checks import real
from rlpersona.errors import DataError
from rlpersona.stats.mixed import MixedModel, fit_mixed, solve_mixed


class Beliefs:
    r"""Posterior of the mean reward of each arm under mu_i = mean + x_i' b + u_i.

    b_j ~ N(0, v / d) and u_i ~ N(0, v_u): arms of like features have like means, and each differs from
    what its features say (Lindley & Smith 1972). `spread` is the guessed standard deviation between
    arms (in reward), `explained` the guessed share of its variance that the features explain; with
    `learn` the data correct both (`rlpersona.stats.mixed.fit_mixed`).

    Arms that were evaluated together answered the same questions, other arms other ones. `absorb`
    therefore estimates how much easier than usual a set's questions were: o = mean over the set of
    (reward mean - what was believed). It is taken off where it is more than chance explains, beyond
    two standard deviations of o for questions that are all equally hard. Where each arm's questions
    were drawn apart, almost everything stays as it was.
    """

    def __init__(self, features: Floats, spread: float, explained: float, learn: bool) -> None:
        arms, dimensions = features.shape
        self.features = features
        self.learn = learn
        share = explained if dimensions else 0.0
        self.guess = spread**2 * np.array([share / max(1, dimensions), 1 - share])
        self.counts: Floats = np.zeros(arms)
        self.sums: Floats = np.zeros(arms)
        self.variances = self.guess.copy()
        self.refresh()

    def refresh(self) -> None:
        """Set `model`, `mean` and `sd` (both of shape (arms,)) from counts, sums and variances."""
        seen = self.counts > 0
        y, noise = self._measured()
        blocks = [self.features.shape[1]]
        if seen.any():
            self.model = solve_mixed(y[seen], noise[seen], self.features[seen], blocks, self.variances)
        else:
            prior = np.diag(np.append(0.0, np.repeat(self.variances[0], blocks[0])))
            middle = np.append(0.5, np.zeros(blocks[0]))
            self.model = MixedModel(self.variances[:-1], float(self.variances[-1]), middle, prior)
        self.mean, variance, self.prior = self.model.posterior(self.features, y, noise)
        self.sd = np.sqrt(variance)

    def absorb(self, counts: Ints, sums: Floats) -> None:
        """Learn from arms evaluated on common questions: counts and reward sums, both (arms,)."""
        there = np.flatnonzero(counts)
        if not len(there):
            return
        self.sums[there] += sums[there]
        if self.counts.any():
            self.sums[there] -= self._ease(there, counts[there], sums[there]) * counts[there]
        self.counts[there] += counts[there]
        if self.learn:
            seen = self.counts > 0
            y, noise = self._measured()
            blocks = [self.features.shape[1]]
            fitted = fit_mixed(
                y[seen], noise[seen], self.features[seen], blocks, self.guess, start=self.variances
            )
            self.variances = np.append(fitted.variances, fitted.residual)
        self.refresh()

    def draw(self, rng: np.random.Generator, draws: int = 1) -> Floats:
        """Draws of all means from their joint posterior, shape (draws, arms)."""
        y, noise = self._measured()
        own = self.model.residual / (self.model.residual + noise) if self.model.residual else 0 * noise
        shape = self.model.covariance
        # Without features or evaluations all of it is zero, which has a root only with a little added.
        little = max(1e-12 * np.trace(shape), np.finfo(np.float64).tiny)
        root = np.linalg.cholesky(shape + little * np.eye(len(shape)))
        slopes = self.model.coefficients + rng.standard_normal((draws, len(root))) @ root.T
        prior = slopes[:, :1] + slopes[:, 1:] @ self.features.T
        local = rng.standard_normal(prior.shape) * np.sqrt(self.model.residual * (1 - own))
        return np.asarray(prior + own * (y - prior) + local)

    def chance_best(self, seed: int, draws: int = 256) -> Floats:
        """P(the arm is the best one): its frequency in `draws` draws (standard error <= 3.1 points)."""
        rng = np.random.default_rng([seed, 1])
        rows = max(1, (1 << 20) // len(self.counts))
        best = np.zeros(len(self.counts), np.int64)
        for start in range(0, draws, rows):
            drawn = self.draw(rng, min(rows, draws - start))
            best += np.bincount(drawn.argmax(axis=1), minlength=len(best))
        return np.asarray(best / draws)

    def state(self) -> dict[str, Any]:
        """What `restore` takes, as plain data."""
        return {
            "counts": self.counts.tolist(),
            "sums": self.sums.tolist(),
            "variances": self.variances.tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state()` of the same features."""
        self.counts = vector(state["counts"], len(self.counts), np.float64)
        self.sums = vector(state["sums"], len(self.sums), np.float64)
        self.variances = vector(state["variances"], 2, np.float64)
        self.refresh()

    def noise(self) -> float:
        """Variance of one evaluation: p (1 - p) at the pooled mean, which is at least 0.01."""
        total = self.counts.sum()
        p = float(np.clip(self.sums.sum() / total, 0.0, 1.0)) if total else 0.5
        return max(p * (1 - p), 0.01)

    def _measured(self) -> tuple[Floats, Floats]:
        """Mean of each arm (0 without any evaluation) and the variance of that (infinite without)."""
        seen = self.counts > 0
        y = np.divide(self.sums, self.counts, out=np.zeros(len(seen)), where=seen)
        noise = np.divide(self.noise(), self.counts, out=np.full(len(seen), np.inf), where=seen)
        return y, noise

    def _ease(self, there: Ints, counts: Ints, sums: Floats) -> float:
        """How much easier than usual a set's questions were; 0 if chance may explain it."""
        found = float((sums / counts - self.mean[there]).mean())
        row = np.append(1.0, self.features[there].mean(axis=0))
        _, noise = self._measured()
        own = self.variances[-1] / (self.variances[-1] + noise[there])
        apart = self.noise() / counts + self.variances[-1] * (1 - own)
        chance = float(row @ self.model.covariance @ row + apart.sum() / len(there) ** 2)
        return found if found**2 > 4 * chance else 0.0


def arm_features(features: npt.ArrayLike, arms: int) -> Floats:
    """Columns with mean 0 and variance 1; DataError for a wrong shape or values not finite."""
    table = np.asarray(features, np.float64)
    if table.ndim != 2 or len(table) != arms or not np.isfinite(table).all():
        raise DataError(
            f"features of shape {table.shape} for {arms} arms, or with values that are not finite",
            "Give one row of finite numbers per arm, as persona_features does.",
        )
    centred = table - table.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0, spread, 1.0))


def guesses(spread: float, explained: float) -> tuple[float, float]:
    """Both checked; ConfigError for a spread that is not above 0 or a share outside (0, 1)."""
    return (
        real("spread", spread, low=0, above=True),
        real("explained", explained, low=0, above=True, below=1),
    )
