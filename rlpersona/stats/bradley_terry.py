"""Bradley-Terry: one strength for each model from judged comparisons of two at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError
from rlpersona.stats.comparisons import (
    Columns,
    Comparison,
    Floats,
    columns_of,
    fit,
    fit_draws,
    percentile,
    prompt_draws,
    saturating,
)
from rlpersona.stats.intervals import Interval, check_level

Covariate = Literal["order", "length"]


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """Strengths in log-odds, which sum to zero, and what they leave out.

    `chances[a, b]` is the chance that a beats b, both shown in no order and equally long. `covariates`
    are log-odds: of being shown first, and of being much the longer (tanh near 1). Every interval
    counts prompts. `left_out` tells of each model without a strength why it has none, `notes` the same
    of covariates. `unscored` comparisons had no verdict; `lost_draws` of the bootstrap gave no estimate
    and count against both ends of every interval.
    """

    strengths: dict[str, Interval]
    chances: dict[tuple[str, str], Interval]
    covariates: dict[str, Interval]
    left_out: dict[str, str]
    notes: tuple[str, ...]
    comparisons: int
    unscored: int
    lost_draws: int


def bradley_terry(
    comparisons: Sequence[Comparison],
    *,
    covariates: Sequence[Covariate] = (),
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> BradleyTerry:
    """Maximum likelihood of logit P(a beats b) = s_a - s_b + order first + length tanh(longer / sd).

    Bradley & Terry (1952); ties count half a win on either side (Agresti 2013, 11.6). Without
    covariates by choix, with them by statsmodels' logistic regression on differences of indicators; the
    order term is Agresti's home advantage, the length term that of Dubois et al. (2024). Intervals are
    percentiles over resampled prompts, the independent units.

    A finite estimate exists for models that are joined by wins in both directions (Ford 1957): the
    largest such set is ranked, the others are named in `left_out` with the reason. A covariate that
    never varies, or that parts wins from losses without exception, is left out with a note. Order shows
    only where each order's verdict is given as a comparison of its own (`first` of +1 and -1).
    Raises ConfigError for a level or a covariate that is none, DataError for what is no comparison.
    """
    check_level(level)
    if unknown := sorted(set(covariates) - {"order", "length"}):
        raise ConfigError(f"no covariate '{unknown[0]}'", "Known: order, length.")
    columns = columns_of(comparisons)
    ranked, left_out = _joined(columns)
    kept = columns.of(np.isin(columns.a, ranked) & np.isin(columns.b, ranked))
    unscored = len(comparisons) - len(columns.score)
    if len(ranked) < 2:
        return BradleyTerry({}, {}, {}, left_out, (), len(columns.score), unscored, 0)

    indicators = _indicators(kept, ranked)
    terms, notes = _terms(kept, covariates, indicators)
    design = np.column_stack([indicators, *terms.values()])
    found = fit(design, kept.score) if terms else None
    if terms and found is None:
        notes.append(f"{' and '.join(terms)}: parts wins from losses without exception, left out")
        terms, design = {}, indicators
    if found is None:
        found = _plain(kept, ranked)

    counts = prompt_draws(len(kept.prompts), resamples, seed)
    drawn = fit_draws(design, kept.score, counts, kept.prompt)
    strengths, chances, effects = _intervals(
        [kept.models[k] for k in ranked], list(terms), found, drawn, len(np.unique(kept.prompt)), level
    )
    return BradleyTerry(
        strengths=strengths,
        chances=chances,
        covariates=effects,
        left_out=left_out,
        notes=tuple(notes),
        comparisons=len(columns.score),
        unscored=unscored,
        lost_draws=int(np.isnan(drawn).any(axis=1).sum()),
    )


def _intervals(
    names: Sequence[str], terms: Sequence[str], found: Floats, drawn: Floats, n: int, level: float
) -> tuple[dict[str, Interval], dict[tuple[str, str], Interval], dict[str, Interval]]:
    """Strengths about their mean, chances of pairs and covariates, from coefficients (k,) and those of
    the draws (draws, k): one for each model but the last, then the covariates."""
    size = len(names)
    weights = np.vstack([np.eye(size - 1), np.zeros(size - 1)])
    weights = np.pad(weights - weights.mean(axis=0), ((0, 0), (0, len(terms))))

    def interval(of: Floats) -> Interval:
        return percentile(float(found @ of), drawn @ of, n, level)

    def chance(of: Floats) -> Interval:
        logit = interval(of)
        ends = (1 / (1 + np.exp(-x)) for x in (logit.estimate, logit.low, logit.high))
        estimate, low, high = map(float, ends)
        return Interval(estimate, low, high, n, level)

    return (
        {name: interval(weights[k]) for k, name in enumerate(names)},
        {(names[i], names[j]): chance(weights[i] - weights[j]) for i, j in combinations(range(size), 2)},
        {name: interval(np.eye(len(found))[size - 1 + k]) for k, name in enumerate(terms)},
    )


def _wins(columns: Columns) -> Floats:
    """Table (models, models): how often the row beat the column, ties half."""
    size = len(columns.models)
    table = np.zeros((size, size))
    np.add.at(table, (columns.a, columns.b), columns.score)
    np.add.at(table, (columns.b, columns.a), 1 - columns.score)
    return table


def _joined(columns: Columns) -> tuple[npt.NDArray[np.intp], dict[str, str]]:
    """The largest set of models joined by wins in both directions, and why the others are not in it."""
    from scipy.sparse import csgraph

    size, wins = len(columns.models), _wins(columns)
    if not size:
        return np.zeros(0, dtype=np.intp), {}
    _, part = csgraph.connected_components(wins > 0, directed=True, connection="strong")
    parts = [np.flatnonzero(part == k) for k in range(part.max() + 1)]
    ranked = max(parts, key=lambda inside: (len(inside), wins[np.ix_(inside, inside)].sum()))
    if len(ranked) < 2:
        ranked = np.zeros(0, dtype=np.intp)
    reasons = {}
    for k in range(size):
        if k in ranked:
            continue
        won, lost = wins[k].sum(), wins[:, k].sum()
        if won + lost == 0:
            reason = "no scored comparison"
        elif won == 0 or lost == 0:
            reason = "never won" if won == 0 else "never lost"
        else:
            reason = "not joined to the others by wins in both directions"
        reasons[columns.models[k]] = reason
    return ranked, reasons


def _indicators(columns: Columns, ranked: npt.NDArray[np.intp]) -> Floats:
    """+1 for a, -1 for b, in a column for each ranked model but the last (n, models - 1)."""
    place = np.full(len(columns.models), -1)
    place[ranked] = np.arange(len(ranked))
    identity = np.eye(len(ranked))
    return np.asarray((identity[place[columns.a]] - identity[place[columns.b]])[:, :-1])


def _terms(
    columns: Columns, covariates: Sequence[Covariate], indicators: Floats
) -> tuple[dict[str, Floats], list[str]]:
    """The covariates that can be told from the models' strengths, and notes on the others."""
    terms: dict[str, Floats] = {}
    notes = []
    for name in dict.fromkeys(covariates):
        values = columns.first if name == "order" else saturating(columns.longer)
        wider = np.column_stack([indicators, *terms.values(), values])
        if np.linalg.matrix_rank(wider) < wider.shape[1]:
            notes.append(f"{name}: cannot be told from the models themselves, left out")
        else:
            terms[name] = values
    return terms, notes


def _plain(columns: Columns, ranked: npt.NDArray[np.intp]) -> Floats:
    """Strengths beside the last ranked model's (models - 1,), by choix."""
    import choix

    table = _wins(columns)[np.ix_(ranked, ranked)]
    found = np.asarray(choix.ilsr_pairwise_dense(table, max_iter=1000, tol=1e-10))
    return np.asarray(found[:-1] - found[-1])
