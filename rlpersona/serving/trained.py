"""What a run trained, by the names that requests use.

A GRPO training is its RUN. A stage of a graph is `RUN/sft-rlhf`; `RUN` alone is the stage at which the
last path of the graph ends. A condition of a sweep is `RUN/length=0.5,seed=42`, with `control=` and
`scaling=` where the sweep has several of them, or `RUN/ID`; what singles it out may be left away.
`@STEP` is a step that the training kept, without it the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlpersona.config import ModelConfig, StagesConfig, SweepConfig
from rlpersona.errors import RunError, UnknownModelError, did_you_mean
from rlpersona.experiments.drift.checkpoints import Checkpoint, Training, base_of, saved, trainings_of
from rlpersona.experiments.ranking.verdict import final_names
from rlpersona.models.adapters import CONFIG as ADAPTER
from rlpersona.store import Run

MARKS = ("steps", "adapter", "model", "stages/*/done.json", "conditions/*/done.json", "done.json")


class TrainedRun:
    """The trainings of a run of `rlpersona grpo`, `sweep` or `dpo` that one base can serve.

    What is trained while the service works is found when somebody asks for it.
    """

    def __init__(self, run: Run) -> None:
        """RunError for another kind of run, or one that has trained nothing yet."""
        self.run, self.config = run, saved(run)
        self._marks: list[tuple[str, int]] = []
        self._trainings: dict[str, Training] = {}
        self._refresh()

    @property
    def base(self) -> ModelConfig:
        """The model that it started from."""
        return base_of(self.run)

    def names(self) -> list[str]:
        """Every model that can be asked for, a name each; steps but the last by `@STEP`."""
        self._refresh()
        last = final_names(self.config)[-1] if isinstance(self.config, StagesConfig) else ""
        end = self._trainings.get(last)
        found = [self.run.name] if end and is_adapter(end.checkpoints[-1].folder) else []
        for training in self._trainings.values():
            name = self._name(training)
            served = [one for one in training.checkpoints if is_adapter(one.folder)]
            found += [name] if served and served[-1] is training.checkpoints[-1] else []
            found += [f"{name}@{one.step}" for one in served if len(training.checkpoints) > 1]
        return found

    def last(self) -> list[tuple[str, Checkpoint]]:
        """What each training ended with that left an adapter, and its name."""
        ends = [(self._name(one), one.checkpoints[-1]) for one in self._trainings.values()]
        return [(name, end) for name, end in ends if is_adapter(end.folder)]

    def find(self, part: str, step: int | None) -> tuple[str, Checkpoint]:
        """The canonical name of a model and its checkpoint.

        Raises:
            UnknownModelError: no such part or step, or several parts; the hint names what there is.
        """
        training, name = self._training(part)
        if step is None:
            return name, training.checkpoints[-1]
        if isinstance(self.config, StagesConfig):
            raise UnknownModelError(f"'{name}' is a stage: it has no steps.", f"Ask for {name}.")
        points = {one.step: one for one in training.checkpoints}
        if step not in points:
            self._refresh()
            training, name = self._training(part)
            points = {one.step: one for one in training.checkpoints}
        if step not in points:
            known = ", ".join(map(str, points))
            raise UnknownModelError(f"'{name}' has no step {step}.", f"It has {known}.")
        return f"{name}@{step}", points[step]

    def origin(self, point: Checkpoint) -> dict[str, Any]:
        """Which training and which step of it a checkpoint is."""
        if isinstance(self.config, StagesConfig):
            return {"stage": point.condition}
        condition = {} if point.condition == point.run else {"condition": point.condition}
        return {**condition, "step": point.step}

    def _training(self, part: str) -> tuple[Training, str]:
        try:
            return self._look(part)
        except UnknownModelError:
            if not self._refresh():
                raise
            return self._look(part)

    def _look(self, part: str) -> tuple[Training, str]:
        if part in self._trainings:
            found = self._trainings[part]
            return found, self._name(found)
        if isinstance(self.config, SweepConfig):
            return self._cell(self.config, part)
        wanted = part
        if isinstance(self.config, StagesConfig):
            wanted = part or final_names(self.config)[-1]
        elif not part:
            wanted = self.run.name
        if wanted not in self._trainings:
            raise UnknownModelError(
                f"Run '{self.run.name}' has no trained model '{wanted}'.",
                did_you_mean(wanted, self._trainings),
            )
        return self._trainings[wanted], self._name(self._trainings[wanted])

    def _cell(self, config: SweepConfig, part: str) -> tuple[Training, str]:
        """The one condition whose factors are those named, under the name of its first such cell."""
        wanted = factors_of(config, part)
        found = {}
        for training in self._trainings.values():
            fitting = [cell for cell in training.checkpoints[0].factors if fits(cell, wanted)]
            if fitting:
                found[training.condition] = (training, fitting[0])
        if len(found) == 1:
            training, cell = next(iter(found.values()))
            return training, f"{self.run.name}/{label(config, cell)}"
        asked = f"'{self.run.name}/{part}'" if part else f"'{self.run.name}', a sweep,"
        labels = [label(config, cell) for _, cell in found.values()]
        if labels:
            raise UnknownModelError(
                f"{asked} is {len(labels)} trainings.", f"Say which, such as {self.run.name}/{labels[0]}"
            )
        every = [label(config, one.checkpoints[0].factors[0]) for one in self._trainings.values()]
        raise UnknownModelError(f"{asked} is no finished training.", did_you_mean(part, every))

    def _name(self, training: Training) -> str:
        if isinstance(self.config, SweepConfig):
            return f"{self.run.name}/{label(self.config, training.checkpoints[0].factors[0])}"
        alone = training.condition == self.run.name
        return self.run.name if alone else f"{self.run.name}/{training.condition}"

    def _refresh(self) -> bool:
        """Read the folder again where something in it was written; whether anything was."""
        marks = marks_of(self.run.folder)
        if marks == self._marks:
            return False
        found = {one.condition: one for one in trainings_of(self.run)}
        if not any(is_adapter(point.folder) for one in found.values() for point in one.checkpoints):
            folder = next(iter(found.values())).checkpoints[-1].folder
            raise RunError(
                f"Run '{self.run.name}' trained all weights: it cannot share a base with others.",
                f"Serve it alone: rlpersona serve model={folder}",
            )
        self._marks, self._trainings = marks, found
        return True


def servable(point: Checkpoint, name: str) -> str:
    """The folder of a checkpoint's adapter; UnknownModelError where all weights were trained."""
    if point.folder is None or not is_adapter(point.folder):
        raise UnknownModelError(
            f"'{name}' has weights of its own: it cannot share a base with others.",
            f"Serve it alone: rlpersona serve model={point.folder}",
        )
    return point.folder


def is_adapter(folder: str | None) -> bool:
    """Whether a checkpoint is an adapter, and no whole model."""
    return folder is not None and (Path(folder) / ADAPTER).is_file()


def factors_of(config: SweepConfig, part: str) -> dict[str, Any]:
    """`"length=0.5,seed=42"` as the values of a cell; UnknownModelError for what no cell has."""
    known = {*config.biases, "control", "scaling", "seed"}
    wanted: dict[str, Any] = {}
    for word in filter(None, part.split(",")):
        key, _, text = word.partition("=")
        if key not in known:
            raise UnknownModelError(
                f"Sweep '{config.name}' has neither a training nor a factor '{key}'.",
                did_you_mean(key, known),
            )
        values = _values(key, text)
        if wanted.keys() & values.keys():
            raise UnknownModelError(f"'{part}' names two values of one factor.", "Name one of each.")
        wanted |= values
    return wanted


def _values(key: str, text: str) -> dict[str, Any]:
    """A factor of a cell, or bias and weight, as its table holds them."""
    if key in ("control", "scaling"):
        return {key: text}
    try:
        return {"seed": int(text)} if key == "seed" else {"bias": key, "bias_weight": float(text)}
    except ValueError:
        raise UnknownModelError(f"{key}={text}: '{text}' is no number.", "Such as 42 or 0.5.") from None


def fits(cell: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a cell has all the values."""
    return all(cell[name] == value for name, value in wanted.items())


def label(config: SweepConfig, cell: Mapping[str, Any]) -> str:
    """`"length=0.5,seed=42"`; control and scaling where the sweep has several."""
    weight = float(cell["bias_weight"])
    short = f"{weight:g}" if float(f"{weight:g}") == weight else repr(weight)
    words = [f"{cell['bias']}={short}"]
    words += [f"control={cell['control']}"] if len(config.controls) > 1 else []
    words += [f"scaling={cell['scaling']}"] if len(config.scalings) > 1 else []
    return ",".join([*words, f"seed={cell['seed']}"])


def marks_of(folder: Path) -> list[tuple[str, int]]:
    """When what a training writes last was written, over a run's folder."""
    found = []
    for pattern in MARKS:
        for path in folder.glob(pattern):
            try:
                found.append((str(path), path.stat().st_mtime_ns))
            except FileNotFoundError:  # replaced while it was looked at
                continue
    return sorted(found)
