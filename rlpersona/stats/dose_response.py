"""The mixed model of a metric over doses and domains, with runs as the unit of the dose."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.errors import DataError
from rlpersona.stats.intervals import Interval, check_level

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("value", "dose", "domain", "seed", "run", "question")
MOST_ROWS = 6000
"""Rows above which the model is not fitted: its dense algebra would take minutes."""


@dataclass(frozen=True, slots=True)
class MixedDose:
    """Slopes by domain, Wald test of equal slopes, standard deviations of the random parts.

    `problem` says what the optimiser complained of, "" where it did not.
    """

    slopes: dict[str, Interval]
    interaction_p: float | None
    deviations: dict[str, float]
    rows: int
    runs: int
    seeds: int
    problem: str = ""


def mixed_dose(table: pd.DataFrame, level: float = 0.95) -> MixedDose:
    r"""Fit  y = domain + dose x domain + seed + run + run:domain + question + noise  by REML.

    `table` has the columns COLUMNS, a row for the mean of a run's completions of a question; domain and
    dose x domain are fixed, the rest random and crossed (statsmodels MixedLM with variance components;
    Bates, Maechler, Bolker & Walker 2015 for the notation (1|seed) + (1|run) + (1|run:domain) +
    (1|question)). The run and the run within a domain must be there: a dose is given to a run, and
    without them each question would count as evidence of its own on the dose.

    Slopes have Student intervals on runs - seeds - 1 degrees of freedom, a between-run approximation;
    with few seeds variances are poorly known and the intervals are a description beside the permutation
    test, not a replacement. DataError where doses or runs do not suffice.
    """
    from scipy import special, stats

    check_level(level)
    kept = table[list(COLUMNS)].dropna()
    runs, seeds = int(kept["run"].nunique()), int(kept["seed"].nunique())
    df = runs - seeds - 1
    if kept["dose"].nunique() < 2 or df < 1:
        raise DataError(f"{runs} runs of {seeds} seeds determine no slope", "Train more doses or seeds.")
    if len(kept) > MOST_ROWS:
        raise DataError(f"{len(kept)} rows are too many for the mixed model", f"Pass {MOST_ROWS}.")
    domains = sorted(kept["domain"].unique())
    scale = float(kept["value"].std()) or 1.0
    fitted, problem = _fit(kept.assign(value=kept["value"] / scale), domains)
    names = [f"slope_{number}" for number in range(len(domains))]
    reach = float(special.stdtrit(df, 0.5 + level / 2))
    slopes = {}
    for domain, name in zip(domains, names, strict=True):
        estimate, error = scale * float(fitted.fe_params[name]), scale * float(fitted.bse_fe[name])
        slopes[domain] = Interval(
            estimate, estimate - reach * error, estimate + reach * error, runs, level
        )
    p = None
    if len(domains) > 1:
        order = list(fitted.fe_params.index)
        rows = np.zeros((len(domains) - 1, len(order)))
        for row, name in enumerate(names[1:]):
            rows[row, order.index(names[0])], rows[row, order.index(name)] = -1, 1
        gap = rows @ fitted.fe_params.to_numpy()
        spread = rows @ np.asarray(fitted.cov_params())[: len(order), : len(order)] @ rows.T
        p = float(stats.f.sf(gap @ np.linalg.solve(spread, gap) / len(rows), len(rows), df))
    parts = zip(fitted.model.exog_vc.names, fitted.vcomp, strict=True)
    deviations = {name: scale * float(max(part, 0)) ** 0.5 for name, part in parts}
    deviations["noise"] = scale * float(fitted.scale) ** 0.5
    return MixedDose(slopes, p, deviations, len(kept), runs, seeds, problem)


def _fit(table: pd.DataFrame, domains: list[str]) -> tuple[Any, str]:
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    fixed: dict[str, pd.Series] = {}
    for number, domain in enumerate(domains):
        here = (table["domain"] == domain).astype(float)
        fixed |= {f"level_{number}": here, f"slope_{number}": here * table["dose"]}
    cell = table["run"].astype(str) + " / " + table["domain"].astype(str)
    parts = {
        "seed": table["seed"],
        "run": table["run"],
        "run:domain": cell,
        "question": table["question"],
    }
    if len(domains) == 1:
        del parts["run:domain"]
    if table["seed"].nunique() == 1:
        del parts["seed"]
    matrices = [pd.get_dummies(part).to_numpy(dtype=np.float64) for part in parts.values()]
    names = [[str(column) for column in range(matrix.shape[1])] for matrix in matrices]
    spec = VCSpec(list(parts), [[one] for one in names], [[one] for one in matrices])
    groups = np.ones(len(table))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixedLM(table["value"].to_numpy(), pd.DataFrame(fixed), groups, exog_vc=spec)
        fitted = model.fit(reml=True, method=["lbfgs"])
    said = sorted({str(one.message).split(".")[0] for one in caught})
    return fitted, "; ".join(said)
