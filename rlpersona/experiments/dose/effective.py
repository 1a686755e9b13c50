"""The dose that a training really got: curves against the effective dose, and proxy against gold.

The weight of a bias is what was asked for. What reaches the policy is the part of the advantage that
the bias explains, which the scaling of rewards, tied task scores and a bias that hardly varies all
change. The telemetry logs it; here responses are set against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from rlpersona.errors import DataError
from rlpersona.experiments.dose.runs import Arm, of_arm
from rlpersona.stats.overoptimization import fit_overoptimization
from rlpersona.stats.run_values import GROUPS, OVERALL
from rlpersona.stats.trend import seed_slopes

LOOKS = 8
"""Looks at the held-out prompts below which no curve is fitted: two parameters would follow noise."""
EFFECTIVE, KL, PROXY, GOLD = "effective_dose", "held_out/kl", "total", "held_out/task"


def effective_doses(telemetry: pd.DataFrame | None, arms: Sequence[Arm]) -> pd.DataFrame:
    """Mean effective dose of each condition over its steps: columns condition, domain, effective.

    `domain` is "all" or the DOMAIN of a column `DOMAIN/effective_dose`. Empty without telemetry.
    """
    columns = ["condition", "domain", "effective"]
    if telemetry is None or telemetry.empty:
        return pd.DataFrame(columns=columns)
    mine = telemetry[telemetry["condition"].isin({c for arm in arms for c in arm.cells["condition"]})]
    names = [name for name in mine if name == EFFECTIVE or str(name).endswith(f"/{EFFECTIVE}")]
    long = mine.melt(id_vars=["condition"], value_vars=names, var_name="domain", value_name="effective")
    long["domain"] = long["domain"].map(lambda name: str(name).rpartition("/")[0] or OVERALL)
    means = long.dropna().groupby(["condition", "domain"])["effective"].mean()
    return means.reset_index()[columns]


def effective_slopes(
    arm: Arm, doses: pd.DataFrame, values: pd.DataFrame, own: str | None, step: int, level: float
) -> dict[str, Any] | None:
    """The effective dose by domain and weight, and the slope of the bias's own metric against it.

    Slopes by seed with Student's interval, as against the weight; no test, since the effective dose was
    not assigned but came out of the training. None without telemetry.
    """
    mine = doses.merge(arm.cells, on="condition")
    if mine.empty:
        return None
    points = [
        {
            "domain": str(domain),
            "dose": float(str(dose)),
            "effective": float(part["effective"].mean()),
            "runs": len(part),
        }
        for (domain, dose), part in mine.groupby(["domain", "dose"])
    ]
    slopes = {}
    for domain, part in mine.groupby("domain"):
        table = of_arm(values, arm, str(domain), step).merge(
            part[["condition", "effective"]], on="condition"
        )
        if own is None or own not in table:
            continue
        try:
            found = seed_slopes(table[own], table["effective"], list(table["seed"]), level)
        except DataError:
            continue
        ends = found.interval
        slopes[str(domain)] = {
            "estimate": found.mean,
            "low": ends.low if ends else None,
            "high": ends.high if ends else None,
        }
    points.sort(key=lambda one: (one["domain"] not in GROUPS, one["domain"], one["dose"]))
    return {"metric": own, "points": points, "slopes": slopes}


def overoptimization(arm: Arm, telemetry: pd.DataFrame | None) -> list[dict[str, Any]] | None:
    """Gains of the proxy (the whole reward, on training prompts) and of gold (the task alone, on
    held-out prompts) over sqrt(KL from the start), by dose.

    Looks of all seeds of a dose are one curve of Gao, Schulman & Hilton (2023). A dose with too few
    looks (LOOKS) has the reason in `problem`. None where no KL was logged.
    """
    wanted = {"condition", "step", KL, PROXY, GOLD}
    if telemetry is None or not wanted <= set(telemetry.columns) or telemetry[KL].isna().all():
        return None
    mine = telemetry.merge(arm.cells, on="condition").sort_values("step")
    found = []
    for dose, part in mine.groupby("dose"):
        row: dict[str, Any] = {"dose": float(str(dose))}
        for name in (PROXY, GOLD):
            # "first" is the first that was measured: before any update.
            first = part.groupby("condition")[name].transform("first")
            label = "proxy" if name == PROXY else "gold"
            known = (part[KL].notna() & part[name].notna()).sum()
            if known < LOOKS:
                row[label] = {"problem": f"{known} looks are too few for a curve"}
                continue
            try:
                row[label] = asdict(fit_overoptimization(part[KL], part[name] - first))
            except DataError as error:
                row[label] = {"problem": error.message}
        found.append(row)
    return found
