"""Sign-flip permutation: paired differences under the hypothesis that either sign was as likely."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError

RESAMPLES = 20_000  # exact up to 14 differences


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Mean of the differences with the two-sided p-value of a mean of zero; `n` differences."""

    difference: float
    p_value: float
    n: int
    exact: bool


def sign_flip(differences: npt.ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> SignFlip:
    """Test that differences (n,), one a prompt, are symmetric about zero (Fisher 1935).

    All 2^n signs where there are at most `resamples`, else so many random ones, counted with the
    observed (Phipson & Smyth 2010), by scipy. nan is left out; p is 1 where all are zero, or there is
    only one. For two models: each prompt's mean score of one minus that of the other. Raises DataError
    for no value.
    """
    values = np.asarray(differences, dtype=np.float64)
    shape, values = values.shape, values[~np.isnan(values)]
    if len(shape) != 1 or not len(values) or not np.isfinite(values).all():
        raise DataError("no flat array of differences", "Pass one number a prompt, nan where unknown.")
    mean, exact = float(values.mean()), 2 ** len(values) <= resamples
    if not values.any() or len(values) == 1:
        return SignFlip(mean, 1.0, len(values), exact)
    from scipy import stats

    found = stats.permutation_test(
        (values,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        batch=2048,
        rng=np.random.default_rng(seed),
    )
    return SignFlip(mean, float(found.pvalue), len(values), exact)


def prompt_means(
    scores: npt.ArrayLike, prompts: Sequence[Hashable]
) -> tuple[list[Hashable], npt.NDArray[np.float64]]:
    """Each prompt in order of first appearance, and the mean of its scores (prompts,).

    Several answers to one prompt are no independent evidence: the prompt is the unit. nan scores are
    left out; a prompt of nothing else has the mean nan. DataError for unequal lengths.
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) != len(prompts):
        raise DataError(
            f"scores of shape {values.shape} for {len(prompts)} prompts", "Pass a prompt for each score."
        )
    names = {prompt: k for k, prompt in enumerate(dict.fromkeys(prompts))}
    place = np.array([names[prompt] for prompt in prompts], dtype=np.intp)
    known = ~np.isnan(values)
    counts = np.bincount(place[known], minlength=len(names))
    sums = np.bincount(place[known], weights=values[known], minlength=len(names))
    means = np.divide(sums, counts, out=np.full(len(names), np.nan), where=counts > 0)
    return list(names), means
