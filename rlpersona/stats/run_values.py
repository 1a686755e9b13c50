"""A readout as a table of runs: one value of each metric for each run and domain.

The run is the unit. Completions of a question are averaged first, then questions of a domain, then
domains: a completion that could not be measured takes weight from its question alone, and a domain with
more questions does not speak louder.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("condition", "step", "domain", "question", "sample")
OVERALL, OBJECTIVE, SUBJECTIVE = "all", "objective", "subjective"
GROUPS = (OVERALL, OBJECTIVE, SUBJECTIVE)
CAPPED = "capped"


def metrics_of(readout: pd.DataFrame) -> list[str]:
    """The numeric measures of a readout (a row a completion), those that were measured at least once."""
    numeric = map(str, readout.select_dtypes("number").columns)
    return [name for name in numeric if name not in KEYS and readout[name].notna().any()]


def with_capped(readout: pd.DataFrame) -> pd.DataFrame:
    """The readout with `capped`, 1 where the token cap cut the completion, else 0."""
    return readout.assign(**{CAPPED: (readout["finish"] == "length").astype(float)})


def run_values(readout: pd.DataFrame, objective: Collection[str]) -> pd.DataFrame:
    """One row for each condition, step and domain or group of domains, one column a metric.

    `domain` also takes the values of GROUPS: the mean over all domains, over those with right answers
    (`objective`), and over the others. `capped` is the share of completions cut by the token cap.
    """
    import pandas as pd

    table = with_capped(readout)
    metrics = [*metrics_of(readout), CAPPED]
    questions = table.groupby(["condition", "step", "domain", "question"], sort=False)[metrics].mean()
    domains = questions.groupby(["condition", "step", "domain"], sort=False).mean().reset_index()
    right = domains["domain"].isin(list(objective))
    sides = {OVERALL: domains, OBJECTIVE: domains[right], SUBJECTIVE: domains[~right]}
    grouped = [
        side.groupby(["condition", "step"], sort=False)[metrics].mean().reset_index().assign(domain=name)
        for name, side in sides.items()
        if len(side)
    ]
    return pd.concat([domains, *grouped], ignore_index=True)
