"""One node of the graph in its own Ray Train run, and the folders in which trained models lie.

stages/NAME/
  adapter/ or model/   what the training wrote, with its lineage
  served/              the whole chain as one adapter on the raw base, as engines want it
  metrics.jsonl        one line a step
  done.json            what came out; its presence means that the stage is trained
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.config import BASE, ModelConfig, Recipe, SFTRecipe
from rlpersona.experiments.axis.live import live_callbacks
from rlpersona.experiments.dose.step_log import StepLog
from rlpersona.experiments.stages.data import data_file
from rlpersona.experiments.stages.graph import Node
from rlpersona.experiments.stages.inputs import Inputs
from rlpersona.models.lineage import base_hash, file_hash
from rlpersona.runtime.train import train_folders
from rlpersona.store import Run
from rlpersona.training import FolderCheckpoints, Start, TrainingJob

if TYPE_CHECKING:
    from rlpersona.training import OnStep

STAGES, DONE = "stages", "done.json"


def stage_folder(run: Run, name: str) -> Path:
    """Where a node's model lies."""
    return run.folder / STAGES / name


def is_trained(run: Run, name: str) -> bool:
    """Whether a node is finished."""
    return (stage_folder(run, name) / DONE).exists()


def start_of(inputs: Inputs, run: Run, name: str) -> Start:
    """The weights of a node (or of the base) as a training takes them.

    A stage that trained all weights is a base of its own, on which what follows stands.
    """
    start = Start(inputs.model)
    by_name = {node.name: node for node in inputs.nodes}
    path = () if name == BASE else by_name[name].path
    for depth in range(1, len(path) + 1):
        node = by_name["-".join(path[:depth])]
        folder = stage_folder(run, node.name)
        if node.settings.recipe.full:
            start = Start(_at(inputs.model, folder / "model"))
        else:
            start = Start(start.model, (*start.adapters, (node.stage, folder / "adapter")))
    return start


def served(inputs: Inputs, run: Run, name: str) -> tuple[ModelConfig, str | None]:
    """A node (or the base) as engines take it: the model to load, and the adapter to ask it with."""
    folder = stage_folder(run, name)
    if name == BASE:
        return inputs.model, None
    if (folder / "served").is_dir():
        return inputs.model, str(folder / "served")
    return _at(inputs.model, folder / "model"), None


def train_node(inputs: Inputs, run: Run, node: Node, seed: int) -> dict[str, Any]:
    """Train a node whose rows and parents are there; its record, which `done.json` holds too.

    Done again, it goes on from its last checkpoint. Every node has the same seed, so a stage that
    stands in two branches begins with the same adapter and sees its rows in the same order.
    """
    recipe = node.settings.recipe
    job = TrainingJob(
        stage=node.stage,
        start=start_of(inputs, run, node.parent),
        recipe=recipe,
        rows=data_file(run, node),
        out=stage_folder(run, node.name),
        seed=seed,
        reference=start_of(inputs, run, node.reference) if node.reference else None,
    )
    measures = train_folders(
        partial(train_in_worker, job, inputs.model.name),
        run.checkpoints / node.name,
        workers=recipe.workers,
        cpus=recipe.cpus_per_worker,
        gpus=recipe.gpus_per_worker,
    )
    data = json.loads(data_file(run, node).with_suffix(".json").read_text(encoding="utf-8"))
    record = {
        "stage": node.stage,
        "parent": node.parent,
        "reference": node.reference or None,
        "data": node.data,
        "rows": data["counts"],
        "rows_fingerprint": data["fingerprint"],
        "weights": weights_of(job.out),
        "adapter_init": measures.pop("adapter_init"),
        "measures": measures,
    }
    run.write_json(f"{STAGES}/{node.name}/{DONE}", record)
    return record


def train_in_worker(job: TrainingJob, base: str, checkpoints: FolderCheckpoints) -> dict[str, Any]:
    """What every worker of a node's Train run does; the first one also writes the served form."""
    from rlpersona.training.dpo import train_dpo
    from rlpersona.training.export import flatten, merge
    from rlpersona.training.sft import train_sft

    log = step_log(job.out, job.recipe)
    if isinstance(job.recipe, SFTRecipe):
        measures = train_sft(job, checkpoints, log)
    else:
        measures = train_dpo(job, checkpoints, log, live_callbacks(job.out))
    if os.environ.get("RANK", "0") == "0" and not job.recipe.full:
        whole = Start(job.start.model, (*job.start.adapters, (job.stage, job.out / "adapter")))
        if job.start.model.name == base:
            flatten(whole, job.out / "served")
        else:  # below it all weights were trained: the raw base cannot serve it
            merge(whole, job.out / "model")
    return measures


def step_log(folder: Path, recipe: Recipe) -> OnStep:
    """Adds each step to `metrics.jsonl` in a folder, with `steps`, how many there will be."""
    book = StepLog(folder)

    def log(step: Mapping[str, float]) -> None:
        book({**step, "steps": recipe.max_steps or round(step["step"] * recipe.epochs / step["epoch"])})

    return log


def weights_of(folder: Path) -> str:
    """SHA-256 of the weights that a training wrote."""
    adapter = folder / "adapter" / "adapter_model.safetensors"
    return file_hash(adapter) if adapter.exists() else base_hash(str(folder / "model"))


def _at(model: ModelConfig, folder: Path) -> ModelConfig:
    return model.model_copy(update={"name": str(folder)})
