"""A finished sweep as its page, table and notebook read it: the summary and the tables beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.errors import RunError
from rlpersona.stats.run_values import run_values
from rlpersona.store import CONFIG, METRICS, PROVENANCE, SUMMARY, Run

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]

CONDITIONS, READOUT = "conditions.parquet", "readout.parquet"
FOLDERS = "conditions"
MARGIN = 0.2  # of a standard deviation: see experiments.dose_drift


@dataclass(frozen=True)
class DoseRun:
    """A sweep: `summary` is that of `analyse`, `values` has a row for each condition, step, domain."""

    name: str
    folder: Path
    summary: Json
    conditions: pd.DataFrame
    readout: pd.DataFrame
    values: pd.DataFrame
    telemetry: pd.DataFrame
    config: str
    provenance: Json

    @property
    def alpha(self) -> float:
        """Level below which a p-value shows something."""
        return 1 - float(self.summary["level"])

    @property
    def margin(self) -> float:
        """Drift that would not matter, in standard deviations."""
        return MARGIN

    def cells_of(self, arm: Json) -> pd.DataFrame:
        """Condition, dose and seed of the finished runs of an arm."""
        table = self.conditions
        mine = (table["status"] == "done") & (table["bias"] == arm["bias"])
        mine &= (table["control"] == arm["control"]) & (table["scaling"] == arm["scaling"])
        renamed: pd.DataFrame = table[mine].rename(columns={"id": "condition", "bias_weight": "dose"})
        return renamed[["condition", "dose", "seed"]].drop_duplicates()

    def values_of(self, arm: Json, metric: str, domain: str) -> pd.DataFrame:
        """One row a run: dose, seed and the metric in a domain at the last step."""
        here = self.values[
            (self.values["domain"] == domain) & (self.values["step"] == self.summary["design"]["step"])
        ]
        return (
            self.cells_of(arm).merge(here[["condition", metric]], on="condition").dropna(subset=[metric])
        )

    def base_of(self, arm: Json, metric: str, domain: str) -> float | None:
        """The metric of the base, mean over the seeds' draws; None where step 0 was not read out."""
        here = self.values[(self.values["domain"] == domain) & (self.values["step"] == 0)]
        found = self.cells_of(arm).merge(here, on="condition")[metric].dropna()
        return float(found.mean()) if len(found) else None

    def telemetry_of(self, arm: Json) -> pd.DataFrame | None:
        """The logged steps of an arm's runs, with dose and seed; None where nothing was logged."""
        if self.telemetry.empty:
            return None
        logged = self.telemetry.merge(self.cells_of(arm), on="condition")
        return logged.sort_values("step")

    def effective_of(self, arm: Json) -> pd.DataFrame | None:
        """One row a run: its mean effective dose and the arm's own metric over all domains."""
        logged = self.telemetry_of(arm)
        if logged is None or "effective_dose" not in logged or arm["own"] is None:
            return None
        reached = logged.groupby("condition", as_index=False)["effective_dose"].mean()
        runs = self.values_of(arm, arm["own"], "all").merge(reached, on="condition")
        runs = runs.rename(columns={"effective_dose": "effective"}).dropna(subset=["effective"])
        return runs if len(runs) else None

    def gains_of(self, arm: Json) -> pd.DataFrame | None:
        """One row a look: dose, sqrt(KL) and the gains of proxy and gold over the start."""
        logged = self.telemetry_of(arm)
        if logged is None or not {"held_out/kl", "held_out/task", "total"} <= set(logged):
            return None
        for name, column in (("proxy", "total"), ("gold", "held_out/task")):
            first = logged.groupby("condition")[column].transform("first")
            logged[name] = logged[column] - first
        logged["distance"] = logged["held_out/kl"].clip(lower=0) ** 0.5
        return logged.dropna(subset=["distance"])

    def samples(self, arm: Json, per_domain: int = 1) -> list[Json]:
        """Completions to read: the same questions of each domain at every weight, of the first seed."""
        cells = self.cells_of(arm).sort_values(["seed", "dose"])
        if cells.empty:
            return []
        cells = cells[cells["seed"] == cells["seed"].iloc[0]]
        last = self.readout[self.readout["step"] == self.summary["design"]["step"]]
        first = last[last["sample"] == last["sample"].min()].merge(cells, on="condition")
        found = []
        for domain, part in first.groupby("domain", sort=False):
            for question in list(dict.fromkeys(part["question"]))[:per_domain]:
                rows = part[part["question"] == question].sort_values("dose")
                answers = [
                    {
                        "dose": float(row["dose"]),
                        "text": str(row["text"]),
                        "cut": row["finish"] == "length",
                    }
                    for _, row in rows.iterrows()
                ]
                prompt = str(rows["prompt"].iloc[0]) if "prompt" in rows else ""
                found.append({"domain": str(domain), "prompt": prompt, "answers": answers})
        return found


def read_dose_run(folder: Path) -> DoseRun:
    """Read a finished sweep; RunError where a file is missing or broken."""
    import pandas as pd

    run = Run(folder)
    summary = run.read_json(SUMMARY)
    again = f"Read it out again: rlpersona evaluate {run.name}"
    try:
        conditions = pd.read_parquet(folder / CONDITIONS)
        readout = pd.read_parquet(folder / READOUT)
        values = run_values(readout, summary["design"]["objective"])
        provenance = (
            json.loads((folder / PROVENANCE).read_text()) if (folder / PROVENANCE).exists() else {}
        )
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{folder} cannot be read: {type(error).__name__}: {error}", again) from error
    config = folder / CONFIG
    return DoseRun(
        run.name,
        folder,
        summary,
        conditions,
        readout,
        values,
        read_telemetry(folder, list(dict.fromkeys(conditions["id"]))),
        config.read_text(encoding="utf-8") if config.exists() else "",
        provenance,
    )


def read_telemetry(folder: Path, conditions: list[str]) -> pd.DataFrame:
    """The metrics.jsonl of every condition in one table, with the column `condition`; perhaps empty."""
    import pandas as pd

    rows = [
        {"condition": name, **row}
        for name in conditions
        if (folder / FOLDERS / name / METRICS).exists()
        for row in Run(folder / FOLDERS / name).metrics()
    ]
    return pd.DataFrame(rows)
