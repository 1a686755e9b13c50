"""The normal model of many arms: what their features explain, what they do not, and noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

STEPS = 60
ENOUGH = 1e-5
"""Gain in log likelihood below which scoring stops: far less than a standard error of any variance."""
FLAT = 1.0
"""Prior variance of the overall mean about the pooled mean: flat for values in [0, 1]."""


@dataclass(frozen=True, slots=True)
class MixedModel:
    """Posterior of y_i = mean + x_i' b + u_i given noisy means (see `fit_mixed`).

    `variances` holds one variance per block of features, `residual` that of u; `coefficients` and
    `covariance` are the posterior of (mean, b), shapes (1 + d,) and (1 + d, 1 + d).
    """

    variances: Floats
    residual: float
    coefficients: Floats
    covariance: Floats

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and variance of mean + x'b, without u, for features of shape (n, d)."""
        rows = with_ones(features)
        spread = np.einsum("ij,ij->i", rows @ self.covariance, rows)
        return rows @ self.coefficients, np.maximum(spread, 0.0)

    def posterior(self, features: Floats, means: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
        """Posterior mean and variance of each arm, and its prior mean; each of shape (n,).

        `noise` is the variance of each mean: infinite for an arm without any, whose mean may be nan.
        With the weight w = residual / (residual + noise) of an arm's own evaluations the mean is
        x'b + w (y - x'b), the variance residual (1 - w) + (1 - w)^2 var(x'b).
        """
        prior, spread = self.predict(features)
        own = self.residual / (self.residual + noise) if self.residual else np.zeros(len(means))
        surprise = np.where(np.isfinite(noise), means - prior, 0.0)
        return prior + own * surprise, self.residual * (1 - own) + (1 - own) ** 2 * spread, prior


def with_ones(features: Floats) -> Floats:
    """A column of ones before the features."""
    return np.hstack([np.ones((len(features), 1)), features])


def solve_mixed(
    means: Floats, noise: Floats, features: Floats, blocks: Sequence[int], variances: Floats
) -> MixedModel:
    """The posterior for known `variances`: one per block, the last one that of u."""
    return _Sums(means, noise, features, blocks).model(variances)


def fit_mixed(
    means: Floats,
    noise: Floats,
    features: Floats,
    blocks: Sequence[int],
    guess: Floats | None = None,
    doubt: float = math.log(2),
    start: Floats | None = None,
) -> MixedModel:
    r"""Restricted maximum likelihood of the model, for arms that all have a mean.

        y_i = mean + x_i' b + u_i + e_i,   b_j ~ N(0, v[block of j]),  u_i ~ N(0, v_u),
        e_i ~ N(0, noise_i)

    `features` (n, d) is made of consecutive `blocks` of columns, each with a variance of its own. The
    variances maximise the restricted likelihood (Patterson & Thompson 1971) by Fisher scoring with
    step halving, none below zero. With V the covariance of y and P = V^-1 less the mean, the score of a
    variance whose part of V is G is (y'P G P y - tr P G) / 2 and the information tr(P G P H) / 2; the
    inversions are of (1 + d)^2 only.

    `guess` is what each variance is thought to be beforehand, as where the data are too few to tell it:
    the logarithm of each standard deviation gets a normal prior about its guess with standard deviation
    `doubt` (log 2: as likely as not within a factor of 1.6), and the variances maximise the product.
    `start` is where scoring begins.
    """
    sums = _Sums(means, noise, features, blocks)
    first = guess if start is None else start
    values = sums.start() if first is None else first.copy()

    def slope(values: Floats) -> tuple[float, Floats, Floats]:
        likelihood, score, information = sums.slope(values)
        if guess is None:
            return likelihood, score, information
        if not (values > 0).all():
            return -math.inf, score, information
        away, width = np.log(values / guess), 4 * doubt**2
        likelihood -= float((away**2).sum()) / 2 / width
        score = score - away / width / values
        return likelihood, score, information + np.diag(1 / width / values**2)

    likelihood, score, information = slope(values)
    for _ in range(STEPS):
        free = (values > 0) | (score > 0)
        step = np.zeros_like(values)
        if free.any():
            inner = information[np.ix_(free, free)]
            step[free] = np.linalg.lstsq(inner, score[free], rcond=None)[0]
        size = 1.0
        while size > 1e-6:
            tried = np.maximum(values + size * step, 0.0)
            better, tilt, matrix = slope(tried)
            if better >= likelihood - 1e-12:
                break
            size /= 2
        else:
            break
        gained = better - likelihood
        values, likelihood, score, information = tried, better, tilt, matrix
        if gained < ENOUGH:
            break
    return sums.model(values)


class _Sums:
    """The data, centred, and what scoring needs of it."""

    def __init__(self, means: Floats, noise: Floats, features: Floats, blocks: Sequence[int]) -> None:
        self.centre = float(np.average(means, weights=1 / noise))
        self.y = means - self.centre
        self.noise = noise
        self.rows = with_ones(features)
        self.block = np.repeat(np.arange(len(blocks)), blocks)
        square = (features**2).mean(axis=0) if len(features) else np.zeros(features.shape[1])
        self.scales = np.bincount(self.block, weights=square, minlength=len(blocks))

    def start(self) -> Floats:
        """A share of the variance that noise leaves for each part; a tenth of it all at least."""
        total = float(np.var(self.y))
        each = max(total - float(self.noise.mean()), 0.1 * total, 1e-12) / (len(self.scales) + 1)
        return np.append(each / np.maximum(self.scales, 1.0), each)

    def _solved(self, values: Floats) -> tuple[Floats, Floats, Floats, float]:
        """Weights 1 / (v_u + noise), X'WX, the posterior covariance and the log determinant of V."""
        weights = 1 / (values[-1] + self.noise)
        gram = (self.rows * weights[:, None]).T @ self.rows
        root = np.sqrt(np.concatenate([[FLAT], values[:-1][self.block]]))
        inner = np.eye(len(root)) + root[:, None] * gram * root
        covariance = root[:, None] * np.linalg.inv(inner) * root
        volume = float(np.linalg.slogdet(inner)[1] - np.log(weights).sum())
        return weights, gram, covariance, volume

    def slope(self, values: Floats) -> tuple[float, Floats, Floats]:
        """Log likelihood (up to a constant), its gradient and the expected information."""
        weights, gram, covariance, volume = self._solved(values)
        rows, parts = self.rows, len(values)
        right = rows.T @ (weights * self.y)
        lit = weights * (self.y - rows @ (covariance @ right))  # P y
        pulled = rows.T @ lit
        second, third = ((rows * (weights**power)[:, None]).T @ rows for power in (2, 3))
        rest = np.eye(len(gram)) - covariance @ gram
        within = gram @ rest  # X'PX
        across = rest.T @ second @ rest  # X'PPX
        member = np.zeros((parts - 1, len(gram)))
        member[self.block, np.arange(1, len(gram))] = 1.0

        traces = np.append(member @ np.diag(within), weights.sum() - (covariance * second).sum())
        squares = np.append(member @ pulled**2, lit @ lit)
        information = np.zeros((parts, parts))
        information[:-1, :-1] = member @ within**2 @ member.T
        information[-1, :-1] = information[:-1, -1] = member @ np.diag(across)
        bent = covariance @ second
        information[-1, -1] = (weights**2).sum() - 2 * (covariance * third).sum() + (bent * bent.T).sum()
        likelihood = -(volume + float(self.y @ lit)) / 2
        return likelihood, (squares - traces) / 2, information / 2

    def model(self, values: Floats) -> MixedModel:
        weights, _, covariance, _ = self._solved(values)
        coefficients = covariance @ (self.rows.T @ (weights * self.y))
        coefficients[0] += self.centre
        return MixedModel(values[:-1].copy(), float(values[-1]), coefficients, covariance)
