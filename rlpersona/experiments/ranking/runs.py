"""Evaluating the models that a run of staged training left, as often as one likes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from rlpersona.config import BASE, ModelConfig, StagesConfig
from rlpersona.errors import RunError
from rlpersona.experiments.judging import choice_of, opened_judge
from rlpersona.experiments.ranking.ranking import evaluate_stages
from rlpersona.experiments.ranking.responses import LazyModel
from rlpersona.experiments.ranking.verdict import model_names
from rlpersona.models.locate import portable
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.store import CONFIG, Run, find, flatten, locked
from rlpersona.types import Model, Question

PROMPTS, STAGES = "prompts.parquet", "stages"


def saved_stages(run: Run) -> StagesConfig:
    """The config that a run of staged training was started with; RunError for another experiment."""
    values = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    if values.get("experiment") != "dpo":
        raise RunError(
            f"Run '{run.name}' is a {values.get('experiment')}, with no stages to compare.",
            "Evaluate a run of `rlpersona dpo`.",
        )
    return StagesConfig.model_validate(values)


def trained_models(config: StagesConfig, run: Run) -> dict[str, str | None]:
    """The models of the graph that are trained, parents first: name -> folder that an engine serves.

    An adapter flattened on the base where there is one, else the stage's whole model; None for the base.
    """
    found: dict[str, str | None] = {BASE: None}
    for name in model_names(config)[1:]:
        stage = run.folder / STAGES / name
        if (stage / "done.json").exists():
            served = next(
                (stage / kind for kind in ("served", "model") if (stage / kind).is_dir()), None
            )
            if served is None:
                raise RunError(
                    f"{stage} is trained but holds neither served/ nor model/.",
                    f"Make it anew: remove {stage}, then rlpersona dpo name={run.name} --resume",
                )
            found[name] = str(served)
    return found


def evaluation_prompts(config: StagesConfig, run: Run) -> list[Question]:
    """The prompts that no stage trained on, in their order; RunError for a run that has none yet.

    Questions of the nano world come back whole; of others the prompt itself is known.
    """
    import pandas as pd

    path = run.folder / PROMPTS
    if not path.exists():
        raise RunError(
            f"Run '{run.name}' has no {PROMPTS}.", f"Start it: rlpersona dpo name={run.name} --resume"
        )
    table = pd.read_parquet(path)
    kept = table[table["part"] == "evaluation"]
    known = _nano() if config.benchmark == "nano" else {}
    return [
        known.get(name, Question(name, prompt, "", source=config.benchmark))
        for name, prompt in zip(kept["question"], kept["prompt"], strict=True)
    ]


def evaluate_run(run: Run, config: StagesConfig) -> dict[str, Any]:
    """Evaluate a run's models with the judge and the settings of `config`; the training is not touched.

    Answers and verdicts that are there already are taken as they are; Ray and the model start only where
    some are missing. Raises RunError for a run without a trained model, RunLockedError where another
    process works on it, and what `evaluate_stages` raises.
    """
    models = trained_models(config, run)
    if len(models) < 2:
        raise RunError(
            f"Run '{run.name}' has no trained model yet.",
            f"Train first: rlpersona dpo name={run.name} --resume",
        )
    prompts = evaluation_prompts(config, run)
    with (
        locked(run),
        opened_judge(choice_of(config.judge), run, again(run, config)) as judge,
        ExitStack() as sessions,
        ExitStack() as models_open,
    ):

        def pooled(settings: ModelConfig) -> Model:
            sessions.enter_context(ray_session())
            return PooledModel(settings.model_copy(update={"name": portable(settings.name)}))

        base = LazyModel(lambda: pooled(config.model))
        models_open.callback(base.close)
        return evaluate_stages(config, run, models, prompts, judge, base, load=pooled)


def again(run: Run, config: StagesConfig) -> str:
    """The command line that goes on with an evaluation."""
    saved, wanted = _settings(saved_stages(run)), _settings(config)
    changed = [
        f"{name}={value}" for name, value in wanted.items() if value is not None and saved[name] != value
    ]
    words = ["rlpersona", "evaluate", run.name, *changed, "--runs", str(run.folder.parent)]
    return shlex.join(words)


def runs_of(root: Path, names: list[str]) -> dict[str, Mapping[str, Any]]:
    """The saved configs of runs, by name, as plain values; RunError with the nearest name otherwise."""
    return {
        name: yaml.safe_load((find(root, name).folder / CONFIG).read_text(encoding="utf-8"))
        for name in names
    }


def _settings(config: StagesConfig) -> dict[str, Any]:
    return flatten(config.model_dump(mode="json", include={"evaluation", "judge"}))


def _nano() -> dict[str, Question]:
    from rlpersona.models.nano.world.items import DOMAINS
    from rlpersona.tasks.nano import questions

    asked = [*questions(tuple(DOMAINS)), *questions(tuple(DOMAINS), "heldout")]
    return {question.id: question for question in asked}
