"""MLflow: one of its runs for each series; a condition or a stage is a child of the whole."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from rlpersona.experiments.tracking.identity import identity, title
from rlpersona.experiments.tracking.rows import Row, Update, scalars, step_of
from rlpersona.store import CONFIG, Run, flatten

ID, STEP = "rlpersona.id", "rlpersona.step"
BATCH = 1000  # metrics of one request, as many as MLflow takes
PARAMS = 100  # settings of one request
LONGEST = 500  # characters of a setting
ODD = re.compile(r"[^\w\-. :/]")  # what may not be in a name


class MlflowRuns:
    """Shows series as runs of MLflow, in the experiment `rlpersona` or that of MLFLOW_EXPERIMENT_NAME.

    Its server is that of MLFLOW_TRACKING_URI. The last step that it has is asked of itself, so a
    resumed run shows no step twice: of one that is done again it keeps the first.
    """

    def __init__(self, run: Run) -> None:
        from mlflow import MlflowClient

        self._run, self._id = run, identity(run)
        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "rlpersona")
        found = self._client.get_experiment_by_name(name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(name)
        self._shown: dict[str, str] = {}
        self._last: dict[str, int] = {}
        self._open("", run.folder)

    def show(self, series: str, folder: Path, update: Update) -> None:
        """Log the rows that MLflow does not have."""
        from mlflow.entities import Metric

        if series not in self._shown:
            self._open(series, folder)
        rows = [row for row in update.rows if step_of(row) > self._last[series]]
        now = int(time.time() * 1000)
        batch: list[Any] = []
        for row in rows:
            metrics = [Metric(name, value, now, step_of(row)) for name, value in _metrics(row)]
            if batch and len(batch) + len(metrics) > BATCH:
                self._client.log_batch(self._shown[series], metrics=batch)
                batch = []
            batch += metrics[:BATCH]
        if batch:
            self._client.log_batch(self._shown[series], metrics=batch)
            self._last[series] = step_of(rows[-1])

    def close(self, well: bool) -> None:
        """Say how it ended."""
        for shown in self._shown.values():
            self._client.set_terminated(shown, "FINISHED" if well else "FAILED")

    def _open(self, series: str, folder: Path) -> None:
        """The run of a series: the one of before, or a new one with its config."""
        wanted = f"{self._id}/{series}".rstrip("/")
        found = self._client.search_runs([self._experiment], f"tags.`{ID}` = '{wanted}'")
        if found:
            shown = found[0].info.run_id
            history = self._client.get_metric_history(shown, STEP)
            self._client.update_run(shown, "RUNNING")
        else:
            parent = {"mlflow.parentRunId": self._shown[""]} if series else {}
            made = self._client.create_run(
                self._experiment, run_name=title(self._run, series), tags={ID: wanted, **parent}
            )
            shown, history = made.info.run_id, []
            self._describe(shown, folder)
        self._shown[series] = shown
        self._last[series] = max((one.step for one in history), default=-1)

    def _describe(self, shown: str, folder: Path) -> None:
        from mlflow.entities import Param

        config = folder / CONFIG if (folder / CONFIG).exists() else self._run.folder / CONFIG
        values: Mapping[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8"))
        params = [
            Param(ODD.sub("_", name), str(value)[:LONGEST]) for name, value in flatten(values).items()
        ]
        for at in range(0, len(params), PARAMS):
            self._client.log_batch(shown, params=params[at : at + PARAMS])


def _metrics(row: Row) -> Iterator[tuple[str, float]]:
    """What of a row is logged, its number last: it is asked for when a run is resumed."""
    for name, value in scalars(row):
        yield ODD.sub("_", name), value
    yield STEP, float(step_of(row))
