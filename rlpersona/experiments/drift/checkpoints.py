"""The checkpoints of a training, a sweep or a graph of stages, as things that answer and are read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from rlpersona.config import GRPOConfig, ModelConfig, StagesConfig, SweepConfig
from rlpersona.errors import RunError
from rlpersona.experiments.dose.conditions import cells
from rlpersona.experiments.dose.readout import checkpoints_of
from rlpersona.experiments.ranking.responses import weights_of
from rlpersona.experiments.ranking.runs import trained_models
from rlpersona.models.adapters import CONFIG as ADAPTER
from rlpersona.models.locate import portable
from rlpersona.report.sweep_progress import DONE
from rlpersona.store import CONFIG, Run

FOLDER = "conditions"
BASE = "base"
KINDS: dict[str, type[GRPOConfig] | type[SweepConfig] | type[StagesConfig]] = {
    "grpo": GRPOConfig,
    "sweep": SweepConfig,
    "dpo": StagesConfig,
}


@dataclass(frozen=True)
class Checkpoint:
    """A trained state of a model: `folder` holds its adapter or all its weights; None: the base.

    `condition` is the training: the run's name, a sweep's condition id or a stage's whole path. `step`
    is an update of it, for a stage its place on the path. `factors` are those of a sweep's cells that
    the training serves (bias, bias_weight, control, scaling, seed), each once.
    """

    run: str
    condition: str
    step: int
    folder: str | None
    factors: tuple[dict[str, Any], ...] = field(default=())

    @property
    def weights(self) -> str:
        """A hash of what was trained."""
        return weights_of(self.folder)

    def served(self, base: ModelConfig) -> tuple[ModelConfig, str | None]:
        """The model to load for it, and the adapter to ask it with."""
        if self.folder is None or (Path(self.folder) / ADAPTER).exists():
            return base, self.folder
        return base.model_copy(update={"name": self.folder}), None


@dataclass(frozen=True)
class Training:
    """One training of a run: where its `metrics.jsonl` lies, and its checkpoints but the base."""

    run: str
    condition: str
    folder: Path
    checkpoints: tuple[Checkpoint, ...]


def trainings_of(run: Run, steps: Collection[int] = ()) -> list[Training]:
    """The finished trainings of a run with those of their checkpoints that `steps` names (empty: all).

    Raises:
        RunError: another kind of run, nothing trained yet, or no checkpoint of a step.
    """
    config = saved(run)
    found = list(_stages(run, config) if isinstance(config, StagesConfig) else _updates(run, config))
    if not found:
        raise RunError(
            f"Run '{run.name}' has no finished training.",
            f"Finish it: rlpersona {config.experiment} name={run.name} --resume",
        )
    there = {one.step for training in found for one in training.checkpoints}
    if missing := sorted(set(steps) - there - {0}):
        raise RunError(
            f"Run '{run.name}' has no checkpoint of step {missing[0]}; it has {sorted(there)}.",
            "Leave steps empty for all; readout.every of a training says which are kept.",
        )
    chosen = [
        replace(one, checkpoints=tuple(p for p in one.checkpoints if not steps or p.step in steps))
        for one in found
    ]
    return [one for one in chosen if one.checkpoints]


def saved(run: Run) -> GRPOConfig | SweepConfig | StagesConfig:
    """The config of a run that trains a model; RunError for any other run."""
    values = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    kind = values.get("experiment")
    if kind not in KINDS:
        raise RunError(
            f"Run '{run.name}' is a {kind}: it trains no model.",
            "Name a run of `rlpersona grpo`, `sweep` or `dpo`.",
        )
    return KINDS[kind].model_validate(values)


def base_of(run: Run) -> ModelConfig:
    """The model that a run started from, by a name that holds in other processes."""
    model = saved(run).model
    return model.model_copy(update={"name": portable(model.name)})


def _updates(run: Run, config: GRPOConfig) -> Iterator[Training]:
    """One training, or those of a sweep that are done."""
    if not isinstance(config, SweepConfig):
        if (run.folder / DONE).exists():
            yield _training(run, run.name, run.folder, config)
        return
    factors: dict[str, list[dict[str, Any]]] = {}
    for cell in cells(config):
        values = asdict(cell)
        factors.setdefault(values.pop("condition"), []).append(values)
    for name, served in factors.items():
        folder = run.folder / FOLDER / name
        if (folder / DONE).exists():
            yield _training(run, name, folder, config, tuple(served))


def _training(
    run: Run, name: str, folder: Path, config: GRPOConfig, factors: tuple[dict[str, Any], ...] = ()
) -> Training:
    logged = max((int(row["step"]) for row in Run(folder).metrics()), default=None)
    last = config.recipe.max_steps or logged
    points = tuple(
        Checkpoint(run.name, name, step, path, factors)
        for step, path in sorted(checkpoints_of(folder, last).items())
        if path is not None
    )
    return Training(run.name, name, folder, points)


def _stages(run: Run, config: StagesConfig) -> Iterator[Training]:
    """Every stage as a training with one checkpoint, what it ended with."""
    from rlpersona.experiments.stages.graph import nodes

    depth = {node.name: len(node.path) for node in nodes(config)}
    for name, path in trained_models(config, run).items():
        if path is not None:
            point = Checkpoint(run.name, name, depth[name], path)
            yield Training(run.name, name, run.folder / "stages" / name, (point,))
