"""Judged comparisons of two models' answers: what the statistics of a ranking are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval

Floats = npt.NDArray[np.float64]
CELLS = 4_000_000  # numbers in memory at once while draws are fitted
FARTHEST = 15.0  # log-odds that no finite number of comparisons at hand could show


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a judge made of model `a`'s answer beside model `b`'s, to the same prompt.

    `score` is 1 where a won, 0 where b won, .5 for a tie, None where there is no verdict. `longer` is
    the length of a's answer minus that of b's (tokens), `first` +1 where a's was shown first, -1 where
    b's was, 0 where the verdict rests on both orders.
    """

    a: str
    b: str
    prompt: str
    score: float | None
    longer: float = 0.0
    first: int = 0


class Columns(NamedTuple):
    """Scored comparisons as arrays (comparisons,): models and prompts by place in their names."""

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    a: npt.NDArray[np.intp]
    b: npt.NDArray[np.intp]
    prompt: npt.NDArray[np.intp]
    score: Floats
    longer: Floats
    first: Floats

    def of(self, kept: npt.NDArray[np.bool_]) -> Columns:
        """The same names with fewer comparisons."""
        return self._replace(
            a=self.a[kept],
            b=self.b[kept],
            prompt=self.prompt[kept],
            score=self.score[kept],
            longer=self.longer[kept],
            first=self.first[kept],
        )


def columns_of(comparisons: Sequence[Comparison]) -> Columns:
    """The comparisons that have a score; DataError for a score outside [0, 1] or a model beside itself.

    Names stand in the order in which they first come up, those without any score among them.
    """
    for found in comparisons:
        if found.a == found.b or (found.score is not None and not 0 <= found.score <= 1):
            raise DataError(
                f"{found} is no comparison",
                "Compare two models; score 1 (a won), .5 (tie), 0 (b won), or None.",
            )
    models = list(dict.fromkeys(name for found in comparisons for name in (found.a, found.b)))
    scored = [found for found in comparisons if found.score is not None]
    prompts = list(dict.fromkeys(found.prompt for found in scored))
    place = {name: k for k, name in enumerate(models)}
    row = {name: k for k, name in enumerate(prompts)}
    return Columns(
        tuple(models),
        tuple(prompts),
        np.array([place[found.a] for found in scored], dtype=np.intp),
        np.array([place[found.b] for found in scored], dtype=np.intp),
        np.array([row[found.prompt] for found in scored], dtype=np.intp),
        np.array([found.score for found in scored], dtype=np.float64),
        np.array([found.longer for found in scored], dtype=np.float64),
        np.array([found.first for found in scored], dtype=np.float64),
    )


def saturating(longer: Floats) -> Floats:
    """tanh(difference in length / its standard deviation), AlpacaEval's term (Dubois et al. 2024).

    Zero stays zero; without any spread all are zero.
    """
    spread = float(longer.std())
    return np.tanh(longer / spread) if spread > 0 else np.zeros_like(longer)


def prompt_draws(prompts: int, resamples: int, seed: int) -> Floats:
    """How often each prompt comes up in each bootstrap draw: counts (resamples, prompts)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples).astype(np.float64)


def fit(design: Floats, score: Floats, weights: Floats | None = None) -> Floats | None:
    """Coefficients (k,) of one logistic regression, by statsmodels; None without a finite maximum.

    `design` (n, k), `score` and `weights` (n,).
    """
    import warnings

    import statsmodels.api as sm

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of a perfect prediction, which None reports
        model = sm.GLM(score, design, family=sm.families.Binomial(), freq_weights=weights)
        fitted = model.fit(maxiter=100)
    found = np.asarray(fitted.params, dtype=np.float64)
    return found if fitted.converged and (np.abs(found) < FARTHEST).all() else None


def fit_draws(
    design: Floats,
    score: Floats,
    counts: Floats,
    prompt: npt.NDArray[np.intp],
    weights: Floats | None = None,
) -> Floats:
    """Logistic regressions of one data set, each prompt counted so often, by Newton's method.

    `design` (n, k), `score` (n,) in [0, 1], `counts` (draws, prompts), `prompt` (n,) the place of each
    row's prompt, `weights` (n,) of rows -> coefficients (draws, k), nan in a draw that has no finite
    maximum (one side always wins there) or does not tell all coefficients.
    """
    each = np.ones(len(design)) if weights is None else weights
    step = max(1, CELLS // max(1, len(design)))
    parts = [
        _newton(design, score, counts[i : i + step][:, prompt] * each)
        for i in range(0, len(counts), step)
    ]
    return np.concatenate(parts)


def _newton(design: Floats, score: Floats, weights: Floats) -> Floats:
    from scipy import special

    n, k = design.shape
    squares = (design[:, :, None] * design[:, None, :]).reshape(n, k * k)
    found = np.zeros((len(weights), k))
    gradient = np.zeros_like(found)
    for _ in range(40):
        chance = special.expit(found @ design.T)
        gradient = (weights * (score - chance)) @ design
        curvature = ((weights * chance * (1 - chance)) @ squares).reshape(-1, k, k)
        # A hair of a ridge: a draw without a maximum drifts away instead of stopping the others.
        move = np.linalg.solve(curvature + 1e-10 * np.eye(k), gradient[:, :, None])[:, :, 0]
        found = np.clip(found + np.clip(move, -3, 3), -4 * FARTHEST, 4 * FARTHEST)
        if np.abs(move).max(initial=0.0) < 1e-9:
            break
    # Nothing is known of a direction without curvature: it stays where it began.
    flat = np.linalg.eigvalsh(curvature)[:, 0] < 1e-8
    far = (np.abs(found) > FARTHEST).any(axis=1) | (np.abs(gradient).max(axis=1) > 1e-5)
    found[flat | far] = np.nan
    return found


def percentile(estimate: float, drawn: Floats, n: int, level: float) -> Interval:
    """Percentile bootstrap interval (Efron 1979) that holds its estimate.

    A draw without an estimate (nan) counts against both ends, since it may lie anywhere: where there
    are many, an end is infinite.
    """
    lost = np.isnan(drawn)
    low = float(np.quantile(np.where(lost, -np.inf, drawn), 0.5 - level / 2, method="inverted_cdf"))
    high = -float(np.quantile(np.where(lost, -np.inf, -drawn), 0.5 - level / 2, method="inverted_cdf"))
    return Interval(estimate, min(low, estimate), max(high, estimate), n, level)
