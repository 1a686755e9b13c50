"""Drift: does training without any bias move behaviour by itself?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rlpersona.experiments.dose.runs import Arm
from rlpersona.stats import tost
from rlpersona.stats.intervals import t_interval
from rlpersona.stats.run_values import GROUPS

MARGIN = 0.2
"""Drift that would not matter, in standard deviations of the base's questions (Cohen's small effect)."""


def drift_of(
    arms: Sequence[Arm],
    values: pd.DataFrame,
    readout: pd.DataFrame,
    metrics: Sequence[str],
    step: int,
    level: float,
) -> list[dict[str, Any]]:
    """The runs of dose 0 at the last step less the base, each metric in each domain.

    The unit is the run: Student's interval and test over the runs of dose 0, and two one-sided tests
    (Schuirmann 1987) that the drift is within MARGIN of the standard deviation of the base's questions.
    A p-value above .05 does not show that nothing drifts; `equivalent` does. Empty where the base or
    dose 0 was not read out.
    """
    plain = [arm for arm in arms if arm.control == "none" and arm.scaling == "none"] or list(arms)
    zero = [c for arm in plain for c in arm.cells.loc[arm.cells["dose"] == 0, "condition"]]
    runs = list(dict.fromkeys(zero))
    here = values[values["condition"].isin(runs)]
    ends = {at: here[here["step"] == at].set_index(["domain", "condition"]) for at in (0, step)}
    if not runs or step == 0 or any(end.empty for end in ends.values()):
        return []
    base = readout[(readout["step"] == 0) & readout["condition"].isin(runs)]
    found = []
    for metric in metrics:
        gaps = (ends[step][metric] - ends[0][metric]).dropna()
        spreads = base.groupby(["domain", "question"])[metric].mean().groupby("domain").std()
        for domain, gap in gaps.groupby(level="domain"):
            of_domain = spreads.drop(list(GROUPS), errors="ignore")
            wide = float(of_domain.mean() if domain in GROUPS else spreads.get(domain, math.nan))
            found.append({"metric": metric, "domain": str(domain), **_drift(gap, wide, level)})
    order = {name: place for place, name in enumerate(GROUPS)}
    return sorted(
        found, key=lambda one: (metrics.index(one["metric"]), order.get(one["domain"], len(order)))
    )


def _drift(gap: pd.Series, spread: float, level: float) -> dict[str, Any]:
    moved = gap.to_numpy(dtype=float)
    margin = MARGIN * spread if spread > 0 else None
    alone: dict[str, Any] = {"estimate": float(moved.mean()), "low": None, "high": None}
    alone |= {"n": len(moved), "p": None, "margin": margin, "equivalent": None}
    if len(moved) < 2:
        return alone
    found = t_interval(moved, level)
    alone |= {"low": found.low, "high": found.high, "p": _t_test(moved)}
    if margin is not None:
        alone["equivalent"] = tost(moved, 0 * moved, margin, 1 - level).equivalent
    return alone


def _t_test(moved: Any) -> float:
    from scipy import special

    error = float(moved.std(ddof=1)) / math.sqrt(len(moved))
    if error == 0:
        return float(moved.mean() == 0)
    return 2 * float(special.stdtr(len(moved) - 1, -abs(float(moved.mean())) / error))
