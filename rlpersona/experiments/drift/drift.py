"""How far training moved a model along the Assistant Axis, checkpoint by checkpoint.

Every checkpoint is read on two kinds of text, which are never mixed: the base's answers, put into its
mouth (what changed inside, the text being equal), and answers of its own (what changed inside and in
what it says). On both it is placed along the axis of the base, which stays as it is, and along the axis
that its own activations give. Beside it stand movements along random directions, the rotation that
noise alone would show, and whatever other runs are named as controls.

What is slow is kept on the way: answers and activations of each checkpoint, under what decides them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.config import DriftConfig, ModelConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.drift.cells import Cells, Readers, read_cells
from rlpersona.experiments.drift.checkpoints import (
    BASE,
    Checkpoint,
    Training,
    base_of,
    trainings_of,
)
from rlpersona.experiments.drift.inputs import Inputs, load_inputs
from rlpersona.experiments.drift.measures import Reading, measure
from rlpersona.experiments.drift.summary import correlations, groups, verdict
from rlpersona.experiments.drift.texts import own_answers, sft_rows
from rlpersona.experiments.origin import record_origin
from rlpersona.experiments.ranking.responses import LazyModel
from rlpersona.models.lineage import base_hash
from rlpersona.report.labelling import counter
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.store import SUMMARY, Run, find, opened
from rlpersona.tasks.identity import unit
from rlpersona.types import Sampling

if TYPE_CHECKING:
    import pandas as pd

DRIFT, PLACES, ANSWERS = "drift.parquet", "places.parquet", "responses.parquet"
Json = dict[str, Any]


@dataclass(frozen=True)
class Measured:
    """What one checkpoint answered and how it was read on the base's text and on its own."""

    checkpoint: Checkpoint
    answers: pd.DataFrame
    base: Reading
    own: Reading


def config_for(of: str, root: Path | str = "runs") -> DriftConfig:
    """The config for a run's checkpoints: its model, and the name of the run with `-drift`."""
    run = find(Path(root).absolute(), of)
    return DriftConfig(name=f"{of[:58]}-drift", of=of, model=base_of(run))


def run_drift(config: DriftConfig, root: Path | str = "runs", *, resume: bool = False) -> Json:
    """Measure or go on measuring, and return the summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started. Raises RunError for runs that train no
    model or are not trained, ConfigError where axis, runs and model do not have the same base.
    """
    root = Path(root).absolute()
    trainings = load_trainings(config, root)
    inputs = load_inputs(config, find(root, config.axis))
    refuse_other_bases(config, inputs, root)
    with opened(root, config, resume=resume) as run:
        if not run.finished:
            record_origin(run, inputs)
            points = [Checkpoint(config.of, BASE, 0, None)]
            points += chain.from_iterable(one.checkpoints for one in trainings)
            with ray_session():
                measured = list(measure_all(config, inputs, run, points))
            write(config, inputs, run, trainings, measured)
        summary: Json = run.read_json(SUMMARY)
    return summary


def load_trainings(config: DriftConfig, root: Path) -> list[Training]:
    """The trainings of the run and of its controls; PersonaErrors for what is not there."""
    if not config.of:
        raise ConfigError("Which run?", "Name one: rlpersona axis drift RUN")
    of = trainings_of(find(root, config.of), config.steps)
    beside = [trainings_of(find(root, name)) for name in config.controls]
    return [*of, *chain.from_iterable(beside)]


def refuse_other_bases(config: DriftConfig, inputs: Inputs, root: Path) -> None:
    """ConfigError unless the axis, every run and the config have one base: other weights have another
    residual stream, in which the axis means nothing."""
    for name in (config.of, *config.controls):
        model = base_of(find(root, name)).name
        if base_hash(model) != inputs.base_hash:
            raise ConfigError(
                f"The axis '{config.axis}' was made on other weights than the run '{name}' ({model}).",
                f"Make one on them, rlpersona axis run model={model} name=..., and name it with axis=",
            )
    if base_hash(config.model.name) != inputs.base_hash:
        raise ConfigError(
            f"model={config.model.name} has other weights than the base of '{config.of}'.",
            f"Give model.name={base_of(find(root, config.of)).name}",
        )


def measure_all(
    config: DriftConfig, inputs: Inputs, run: Run, points: Sequence[Checkpoint]
) -> Iterator[Measured]:
    """Answers of all checkpoints, then their activations and the comparison with the base, in order."""
    answers = draw(config, inputs, run, points)
    with counter("checkpoints read") as done, closing(Readers()) as readers:
        base: dict[str, Cells] = {}
        for number, (point, own) in enumerate(zip(points, answers, strict=True)):
            model, adapter = point.served(config.model)
            texts = {"base": inputs.texts, "own": [list(ids) for ids in own["ids"]]}
            cells = {
                text: read_cells(
                    run.folder, inputs.asked, written, model, adapter, point.weights, readers
                )
                for text, written in texts.items()
            }
            base = base or cells
            readings = {text: compare(config, inputs, base[text], cells[text]) for text in texts}
            done(number + 1, len(points))
            yield Measured(point, own, readings["base"], readings["own"])


def compare(config: DriftConfig, inputs: Inputs, base: Cells, after: Cells) -> Reading:
    """A checkpoint's cells beside the base's, on one kind of text."""
    return measure(base, after, inputs.roles, inputs.questions, inputs.yard, inputs.pca, config)


def draw(
    config: DriftConfig, inputs: Inputs, run: Run, points: Sequence[Checkpoint]
) -> list[pd.DataFrame]:
    """What each checkpoint answers, in order; a model is loaded once, and only where an answer lacks."""
    seed = int(unit("drift", config.seed) * 2**31)
    sampling = Sampling(config.max_tokens, inputs.temperature, 1.0, seed)
    found = []

    def model_of(point: Checkpoint) -> ModelConfig:
        return point.served(config.model)[0]

    with counter("checkpoints answered") as done:
        for model, same in groupby(points, model_of):
            with closing(LazyModel(lambda model=model: PooledModel(model))) as serving:  # type: ignore[misc]
                for point in same:
                    _, adapter = point.served(config.model)
                    found.append(
                        own_answers(
                            run.folder, inputs.asked, sampling, model, serving, adapter, point.weights
                        )
                    )
                    done(len(found), len(points))
    return found


def write(
    config: DriftConfig,
    inputs: Inputs,
    run: Run,
    trainings: Sequence[Training],
    measured: Sequence[Measured],
) -> None:
    """The tables, and last the summary."""
    import pandas as pd

    rows, places, answers, checkpoints = [], [], [], []
    for one in measured:
        point = one.checkpoint
        about: Json = {"run": point.run, "condition": point.condition, "step": point.step}
        answers.append(one.answers.drop(columns="ids").assign(**about))
        for text, reading in (("base", one.base), ("own", one.own)):
            rows.append(reading.table.assign(**about, text=text))
            places.append(reading.places.assign(**about, text=text))
            checkpoints.append({**about, "text": text, **reading.summary})
    run.write_table(DRIFT, pd.concat(rows, ignore_index=True))
    run.write_table(PLACES, pd.concat(places, ignore_index=True))
    run.write_table(ANSWERS, pd.concat(answers, ignore_index=True))
    for training in trainings:
        last = next(one for one in reversed(measured) if one.checkpoint == training.checkpoints[-1])
        name = f"sft/{training.run}-{training.condition}.jsonl"
        run.write_text(name, sft_rows(inputs.asked, last.answers))
    summary: Json = {
        "experiment": "drift",
        "run": run.name,
        "of": config.of,
        "axis": config.axis,
        "controls": list(config.controls),
        "model": config.model.name,
        "level": config.level,
        "layer": inputs.yard.layer,
        "layers": len(inputs.yard.direction),
        "unit": inputs.unit,
        "roles": len(inputs.roles) - 1,
        "questions": len(inputs.questions),
        "answers": len(inputs.asked),
        "traits": list(inputs.yard.traits),
        "variance_share": [float(share) for share in inputs.pca.variance_share[:10]],
        "axis_on_components": inputs.axis_on_components,
        "checkpoints": checkpoints,
        "correlations": correlations(trainings, checkpoints),
        "groups": groups(trainings, checkpoints, config.level),
        "conditions": [
            {"run": one.run, "condition": one.condition, "factors": list(one.checkpoints[-1].factors)}
            for one in trainings
        ],
    }
    run.write_json(SUMMARY, {**summary, "verdict": verdict(summary)})
