"""How often one model's answers win, with the prompt as the unit, as they are and at equal length."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats.comparisons import Floats, fit, fit_draws, percentile, prompt_draws, saturating
from rlpersona.stats.intervals import Interval, bounded_interval, check_level, clopper_pearson, measured
from rlpersona.stats.paired import mcnemar_exact
from rlpersona.stats.permutation import SignFlip, prompt_means, sign_flip

SEPARATED = "length tells wins from losses without exception"


@dataclass(frozen=True, slots=True)
class WinRate:
    """Mean over prompts of the share of comparisons won, ties half.

    `rate` has Student's interval over prompts, `bootstrap` that of resampled prompts; `test` is the
    sign-flip test of one half. Wins, losses, ties and unscored count comparisons; `without` counts
    prompts that have no verdict at all.
    """

    rate: Interval
    bootstrap: Interval
    test: SignFlip
    wins: int
    losses: int
    ties: int
    unscored: int
    without: int


def win_rate(
    scores: npt.ArrayLike,
    prompts: Sequence[Hashable],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> WinRate:
    """Of scores (comparisons,): 1 won, .5 tied, 0 lost, nan without a verdict, and each one's prompt.

    Samples of one prompt are averaged first. `rate` is the interval to quote: percentiles of a few dozen
    prompts are a little narrow. Where most prompts agree it is widened for what did not come up
    (`bounded_interval`). Raises DataError for scores outside [0, 1] or fewer than two judged prompts.
    """
    values, means = _judged(scores, prompts)
    kept = measured(means)
    drawn = prompt_draws(len(kept), resamples, seed) @ kept / len(kept)
    return WinRate(
        rate=_cut(bounded_interval(kept, level)),
        bootstrap=percentile(float(kept.mean()), drawn, len(kept), level),
        test=sign_flip(kept - 0.5, seed),
        wins=int((values > 0.5).sum()),
        losses=int((values < 0.5).sum()),
        ties=int((values == 0.5).sum()),
        unscored=int(np.isnan(values).sum()),
        without=int(np.isnan(means).sum()),
    )


@dataclass(frozen=True, slots=True)
class ControlledRate:
    """The win rate that is left at equal length; None exactly when `reason` says why.

    `length` is the log-odds of being much the longer (tanh near 1); `raw` the mean of the same scores.
    """

    rate: Interval | None
    length: Interval | None
    raw: float
    reason: str | None = None


def length_controlled(
    scores: npt.ArrayLike,
    longer: npt.ArrayLike,
    prompts: Sequence[Hashable],
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> ControlledRate:
    """AlpacaEval's length-controlled win rate (Dubois et al. 2024, arXiv:2404.04475), its length term.

    logit P(win) = theta + phi tanh(longer / sd), `longer` (comparisons,) the length of the model's
    answer minus the other's; the rate is sigma(theta), at no difference. Their term for the difficulty
    of an instruction is left out: it needs many models. Fitted by statsmodels on scores as in
    `win_rate`; every prompt weighs the same. Intervals are percentiles over resampled prompts, the
    scale of length redrawn with them only through the fit.

    No rate where length tells wins from losses without exception, or all differ by the same length:
    what would be left at equal length is then not in the data. DataError as in `win_rate`.
    """
    check_level(level)
    values, means = _judged(scores, prompts)
    lengths = np.asarray(longer, dtype=np.float64)
    if lengths.shape != values.shape or not np.isfinite(lengths).all():
        raise DataError(
            "lengths are not one finite number a comparison", "Pass the difference in tokens."
        )
    kept = ~np.isnan(values)
    values, lengths = values[kept], lengths[kept]
    names = {prompt: k for k, prompt in enumerate(dict.fromkeys(np.array(prompts, dtype=object)[kept]))}
    place = np.array([names[prompts[k]] for k in np.flatnonzero(kept)], dtype=np.intp)
    raw, n = float(measured(means).mean()), len(names)
    terms = saturating(lengths)
    if reason := _hopeless(values, lengths, terms):
        return ControlledRate(None, None, raw, reason)

    design = np.column_stack([np.ones(len(terms)), terms]) if terms.any() else np.ones((len(terms), 1))
    even = 1 / np.bincount(place)[place]
    found = fit(design, values, even)
    if found is None:
        return ControlledRate(None, None, raw, SEPARATED)
    drawn = fit_draws(design, values, prompt_draws(n, resamples, seed), place, even)
    rates = 1 / (1 + np.exp(-np.concatenate([found[:1], drawn[:, 0]])))
    rate = percentile(float(rates[0]), rates[1:], n, level)
    slope = percentile(float(found[1]), drawn[:, 1], n, level) if len(found) > 1 else None
    return ControlledRate(_cut(rate), slope, raw)


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Whether a place wins where the answers cannot: over prompts, each judged in both orders.

    `first` and `second` count prompts whose orders differ more often in favour of that place; `share`
    is first / (first + second), exact (Clopper & Pearson), None where no prompt leans; `p_value` the
    exact two-sided binomial test of one half. `consistent` of `pairs` verdicts did not hang on order.
    """

    first: int
    second: int
    share: Interval | None
    p_value: float
    pairs: int
    consistent: int


def position_bias(
    sides: Sequence[tuple[str | None, str | None]], prompts: Sequence[Hashable], level: float = 0.95
) -> PositionBias:
    """Of the winners ("a", "b", "tie") with a first and with b first, one pair a verdict.

    A verdict leans to the first place by one for each order in which the first won, minus one for each
    in which the second did: zero where both orders name the same answer. Only verdicts that lean bear
    on the question, as in McNemar's test, and a prompt's verdicts are summed to one sign. Verdicts that
    failed in either order are left out. DataError for unequal lengths.
    """
    check_level(level)
    if len(sides) != len(prompts):
        raise DataError(f"{len(sides)} verdicts for {len(prompts)} prompts", "Pass one of each.")
    places = {("a", 0): 1, ("b", 0): -1, ("a", 1): -1, ("b", 1): 1}
    leans: dict[Hashable, int] = {}
    pairs = consistent = 0
    for (ab, ba), prompt in zip(sides, prompts, strict=True):
        if ab is None or ba is None:
            continue
        pairs, consistent = pairs + 1, consistent + (ab == ba)
        leans[prompt] = leans.get(prompt, 0) + places.get((ab, 0), 0) + places.get((ba, 1), 0)
    first = sum(lean > 0 for lean in leans.values())
    second = sum(lean < 0 for lean in leans.values())
    share = clopper_pearson(first, first + second, level) if first + second else None
    return PositionBias(first, second, share, mcnemar_exact(first, second), pairs, consistent)


def _judged(scores: npt.ArrayLike, prompts: Sequence[Hashable]) -> tuple[Floats, Floats]:
    """Scores as an array, and each prompt's mean."""
    values = np.asarray(scores, dtype=np.float64)
    if ((values < 0) | (values > 1)).any():
        raise DataError("a score lies outside [0, 1]", "Score 1 (won), .5 (tie), 0 (lost), or nan.")
    return values, prompt_means(values, prompts)[1]


def _hopeless(values: Floats, lengths: Floats, terms: Floats) -> str | None:
    """Why no rate at equal length can be told, if so: no finite maximum (Albert & Anderson 1984)."""
    if values.min() == 1 or values.max() == 0:
        return "all won" if values.min() == 1 else "all lost"
    if np.ptp(lengths) == 0:
        return "every answer differs by the same length" if lengths.any() else None
    won, lost = terms[values > 0], terms[values < 1]
    if won.min() >= lost.max() or lost.min() >= won.max():
        return SEPARATED
    return None


def _cut(found: Interval) -> Interval:
    """The part of an interval that a share can take."""
    return Interval(found.estimate, max(0.0, found.low), min(1.0, found.high), found.n, found.level)
