"""How far the best of many equal arms stands out by chance alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError


def null_maximum(arms: int, questions: int, p: float) -> float:
    """Expected excess over `p` of the best observed accuracy, where every arm's true one is `p`.

    Exact: for K = max of `arms` independent Binomial(questions, p) counts with distribution function F,
    E[K] = sum over k of (1 - F(k)^arms); returned is E[K] / questions - p. About +.075 for 2,174 arms,
    500 questions, p = .6: what "the top persona" gains without any effect.

    Arms that answer the same questions agree more than independent ones, and their maximum is lower:
    the figure is then an upper line. `questions` is the evaluations behind each arm.
    """
    lower = _log_below(arms, questions, p)
    return float(-np.expm1(lower[:-1]).sum() / questions - p)


def null_maximum_quantile(arms: int, questions: int, p: float, quantile: float = 0.95) -> float:
    """The excess over `p` that the best observed accuracy stays at or below with chance `quantile`.

    The smallest k with F(k)^arms >= quantile, over `questions`, minus `p`; see `null_maximum`.
    """
    if not 0 < quantile < 1:
        raise ConfigError(f"quantile={quantile!r} is no probability", "Give it in (0, 1), such as 0.95.")
    lower = _log_below(arms, questions, p)
    return float(np.searchsorted(lower, np.log(quantile)) / questions - p)


def _log_below(arms: int, questions: int, p: float) -> npt.NDArray[np.float64]:
    """log P(max count <= k) for k = 0..questions."""
    if arms < 1 or questions < 1 or not 0 <= p <= 1:
        raise ConfigError(
            f"arms={arms}, questions={questions}, p={p}: no such null world",
            "Give at least one arm and one question, and p in [0, 1].",
        )
    from scipy import stats

    return np.asarray(arms * stats.binom.logcdf(np.arange(questions + 1), questions, p))
