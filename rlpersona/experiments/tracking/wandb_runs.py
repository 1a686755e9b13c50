"""Weights & Biases: one of its runs for each series, grouped by ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from rlpersona.experiments.tracking.identity import identity, title
from rlpersona.experiments.tracking.rows import Update, scalars, step_of
from rlpersona.store import CONFIG, Run


class WandbRuns:
    """Shows series as runs of W&B, in the project `rlpersona` or that of WANDB_PROJECT.

    Key, entity, server and mode are W&B's own variables. Metrics and the config are sent; code, the
    state of git and the terminal's output are not. W&B takes no step twice: of one that a resumed
    training does again it keeps the first.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._id = identity(run)
        self._shown: dict[str, Any] = {}

    def show(self, series: str, folder: Path, update: Update) -> None:
        """Log the rows that W&B does not have."""
        if series not in self._shown:
            self._shown[series] = self._begin(series, folder)
        shown = self._shown[series]
        for row in update.rows:
            if step_of(row) >= shown.step:
                shown.log(dict(scalars(row)), step=step_of(row), commit=True)

    def close(self, well: bool) -> None:
        """Wait for the uploads."""
        for shown in self._shown.values():
            shown.finish(exit_code=0 if well else 1)

    def _begin(self, series: str, folder: Path) -> Any:
        import wandb

        config = folder / CONFIG if (folder / CONFIG).exists() else self._run.folder / CONFIG
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "rlpersona"),
            id="-".join([self._id, *series.split("/")]).rstrip("-"),
            name=title(self._run, series),
            group=self._run.name,
            dir=os.environ.get("WANDB_DIR", str(self._run.folder)),
            config=yaml.safe_load(config.read_text(encoding="utf-8")),
            resume="allow",
            reinit="create_new",  # the series of a run are shown at the same time
            settings=wandb.Settings(console="off", disable_git=True, disable_code=True, silent=True),
        )
