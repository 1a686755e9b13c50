"""GRPO under one reward: a suite of prompts, a training, and what its answers look like afterwards.

The training is a Ray Train run of one or more workers with checkpoints, so a killed worker or a killed
driver goes on where it was and ends in the same weights. Afterwards every kept checkpoint and the base
answer the evaluation prompts, which no training saw, and the last is compared with the base prompt by
prompt. One run says nothing of other seeds: that is what a sweep is for.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from rlpersona.config import GRPOConfig
from rlpersona.errors import RunError
from rlpersona.experiments.axis.live import live_callbacks, save_probe
from rlpersona.experiments.dose.readout import read_out
from rlpersona.experiments.dose.single import analyse_training
from rlpersona.experiments.dose.step_log import StepLog
from rlpersona.experiments.origin import record_origin
from rlpersona.experiments.tracking.following import services, tracked
from rlpersona.models.locate import portable
from rlpersona.report.sweep_progress import DONE, watch_trainings
from rlpersona.rewards import OBJECTIVE
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.train import train_folders
from rlpersona.store import SUMMARY, Run, opened
from rlpersona.tasks.suite import Suite, load_suite
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.grpo import GRPOJob, total_steps, train_grpo
from rlpersona.training.start import Start
from rlpersona.types import Question

SUITE = "suite.parquet"


def run_grpo(config: GRPOConfig, root: Path | str = "runs", *, resume: bool = False) -> dict[str, Any]:
    """Run or resume the whole experiment and return its summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started, where it can be; one that shows before
    the first checkpoint leaves no run behind (errors.py names them all).
    """
    ready = located(config)
    suite = load_suite(config.suite, config.seed)
    chosen = services()
    with opened(Path(root).absolute(), config, resume=resume) as run:
        if not run.finished:
            record_origin(run, suite)
            if config.readout.axis:
                save_probe(config.readout.axis, ready.model, run)
            run.write_table(SUITE, suite.table())
            for line in shortages(suite):
                print(line, file=sys.stderr)
            with ray_session(), tracked(run, chosen, config.recipe.batch):
                train(ready, suite, run)
                summary = measure(ready, suite, run)
            run.write_json(SUMMARY, summary)
        found: dict[str, Any] = run.read_json(SUMMARY)
    return found


def train(config: GRPOConfig, suite: Suite, run: Run) -> None:
    """Train, unless that is done; leaves `adapter` or `model`, `metrics.jsonl`, and last `done.json`."""
    if (run.folder / DONE).exists():
        return
    recipe = config.recipe
    with watch_trainings([run.folder], total_steps(config, len(suite.train))):
        measures = train_folders(
            partial(train_logged, config, suite.train, suite.held_out, run.folder),
            run.checkpoints,
            workers=recipe.workers,
            cpus=recipe.cpus_per_worker,
            gpus=recipe.gpus_per_worker,
        )
    run.keep()
    run.write_json(DONE, measures)
    shutil.rmtree(run.checkpoints, ignore_errors=True)  # optimizer states: many times what was learned


def train_logged(
    config: GRPOConfig,
    train: Sequence[Question],
    held_out: Sequence[Question],
    folder: Path,
    checkpoints: FolderCheckpoints,
) -> dict[str, Any]:
    """A training with its results and its `metrics.jsonl` in `folder`; runs in any process."""
    job = GRPOJob(config, Start(config.model), train, held_out, folder)
    looks = live_callbacks(folder, config.readout.axis_every)
    return train_grpo(job, checkpoints, StepLog(folder), looks)


def measure(config: GRPOConfig, suite: Suite, run: Run) -> dict[str, Any]:
    """Read out base and checkpoints on the evaluation prompts; the summary."""
    with closing(PooledModel(config.model)) as model:
        readout = read_out(config, run.folder, model, suite.evaluation, load=PooledModel)
    rows = run.metrics()
    if not rows:
        raise RunError(f"Run '{run.name}' has no metrics.jsonl.", "Train it again under a new name.")
    return {
        "experiment": "grpo",
        "run": run.name,
        "model": config.model.name,
        **analyse_training(readout, config.level, objective=OBJECTIVE),
        "training": run.read_json(DONE),
        "alarms": [int(row["step"]) for row in rows if row.get("alarm")],
    }


def shortages(suite: Suite) -> list[str]:
    """A line for each domain that has fewer prompts than an equal part."""
    return [
        f"{domain}: {train} prompts to train on, {evaluation} to evaluate on: there are no more"
        for domain, (train, evaluation) in suite.short.items()
    ]


def located(config: GRPOConfig) -> GRPOConfig:
    """The config with a model name that holds in processes that work elsewhere."""
    model = config.model.model_copy(update={"name": portable(config.model.name)})
    return config.model_copy(update={"model": model})
