"""One condition of a sweep, trained in its own folder of the run; what a trial does."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import yaml

from rlpersona.config import GRPOConfig
from rlpersona.experiments.dose.grpo import train_logged
from rlpersona.report.sweep_progress import DONE
from rlpersona.runtime.train import train_folders
from rlpersona.store import CONFIG, Run
from rlpersona.training.checkpoints import LocalCheckpoints
from rlpersona.types import Question

FOLDER, CHECKPOINTS = "conditions", "checkpoints"


def folder_of(run: Run, name: str) -> Path:
    """Where the condition of that id is trained."""
    return run.folder / FOLDER / name


def is_done(run: Run, name: str) -> bool:
    """Whether its training is there, whole."""
    return (folder_of(run, name) / DONE).exists()


def train_condition(
    run: Run,
    configs: Mapping[str, GRPOConfig],
    train: Sequence[Question],
    held_out: Sequence[Question],
    name: str,
) -> None:
    """Train the condition of that id, from its last checkpoint where there is one.

    In this process, or where the recipe has several workers in a Ray Train run of its own. Leaves
    `adapter` or `model`, `metrics.jsonl` and, last of all, `done.json`.
    """
    if is_done(run, name):
        return
    run.keep()
    config, own = configs[name], Run(folder_of(run, name))
    own.write_text(CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    work, recipe = partial(train_logged, config, train, held_out, own.folder), config.recipe
    kept = own.folder / CHECKPOINTS
    if recipe.workers == 1:
        measures = work(LocalCheckpoints(kept))
    else:
        measures = train_folders(
            work,
            kept,
            workers=recipe.workers,
            cpus=recipe.cpus_per_worker,
            gpus=recipe.gpus_per_worker,
        )
    own.write_json(DONE, measures)
    shutil.rmtree(kept, ignore_errors=True)  # optimizer states: many times what was learned
