"""Rows as metrics of Ray: what the dashboard of Grafana draws."""

from __future__ import annotations

from pathlib import Path

from rlpersona.experiments.tracking.rows import Row, Update, step_of
from rlpersona.runtime import metrics

ALL = "all"  # the domains together
BY_DOMAIN = "/effective_dose"
DRIFT = "drift/"


class Gauges:
    """Sets the gauges of a run to its last rows, and counts what was written to be trained on.

    A step of a training is written on `completions` completions, of `length` tokens in the mean.
    """

    def __init__(self, run: str, completions: int = 0) -> None:
        self._run, self._completions = run, completions

    def show(self, series: str, folder: Path, update: Update) -> None:
        """Set the gauges, and count the rows that were never seen before."""
        if update.rows:
            self._set(series, update.rows[-1])
        for row in update.rows[len(update.rows) - update.fresh :]:
            # A look before the first step is no step.
            if self._completions and "length" in row and step_of(row):
                one = {"run": self._run, "kind": "trained"}
                metrics.record(metrics.COMPLETIONS, self._completions, **one)
                metrics.record(metrics.TOKENS, self._completions * row["length"], **one)

    def close(self, well: bool) -> None:
        """Gauges keep their last values for as long as this process is connected to Ray."""

    def _set(self, part: str, row: Row) -> None:
        common = {"run": self._run, "part": part}
        metrics.record(metrics.STEP, step_of(row), **common)
        for metric, value in (
            (metrics.REWARD, row.get("reward", row.get("total"))),
            (metrics.LOSS, row.get("loss")),
            (metrics.UNSCORED, _unscored(row)),
        ):
            if value is not None:
                metrics.record(metric, value, **common)
        for text, name in (("training", "task"), ("held_out", "held_out/task")):
            if row.get(name) is not None:
                metrics.record(metrics.TASK, row[name], text=text, **common)
        for name, value in row.items():
            if name == "effective_dose" or name.endswith(BY_DOMAIN):
                domain = name.removesuffix(BY_DOMAIN) if "/" in name else ALL
                metrics.record(metrics.DOSE, value, domain=domain, **common)
            elif name.startswith(DRIFT):
                direction, _, text = name.removeprefix(DRIFT).rpartition("/")
                metrics.record(metrics.PROJECTION, value, direction=direction, text=text, **common)


def _unscored(row: Row) -> float | None:
    """The share that could not be scored; a search counts since its beginning."""
    if "evaluations" in row:
        return float(row["unscored"] / row["evaluations"]) if row["evaluations"] else None
    return row.get("unscored")
