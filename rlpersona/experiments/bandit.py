"""The persona bandit: personas x questions -> rewards -> policy -> winners, measured again.

One round: the policy draws personas, all of them answer the same questions (a paired design: question
noise cancels between personas), the policy learns from their rewards. The search ends when its budget of
evaluations is spent; what it found is then a hypothesis, which `validate` tests on questions that no
round has seen.

Left out on purpose: asynchronous rounds, contextual policies and judges.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.bandits import Bandit, make_bandit
from rlpersona.config import BanditConfig, ModelConfig
from rlpersona.errors import ConfigError, DataError, RunChangedError
from rlpersona.experiments.evaluation import evaluate
from rlpersona.experiments.validation import validate
from rlpersona.models.locate import portable
from rlpersona.personas.roster import load_personas
from rlpersona.provenance import provenance
from rlpersona.report.live import watch
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.train import Checkpoints, train_job
from rlpersona.store import PROVENANCE, SUMMARY, Run, opened
from rlpersona.tasks import load_questions
from rlpersona.tasks.splits import fingerprint, set_apart
from rlpersona.types import Model, Persona, Question, Score

# Said outright, because a part of the table in which nothing failed has no errors to tell the type from.
EVENT_TYPES = {"reward": "float64", "correct": "boolean", "predicted": "string", "error": "string"}


@dataclass(frozen=True)
class Inputs:
    """What an experiment works on: who answers, with which model, and two disjoint sets of questions."""

    model: ModelConfig
    personas: list[Persona]
    search: list[Question]
    fresh: list[Question]


def run_bandit(
    config: BanditConfig, root: Path | str = "runs", *, resume: bool = False
) -> dict[str, Any]:
    """Run or resume the whole experiment and return its summary, which `summary.json` holds too.

    A mistake of the user is found before anything is started, where it can be; one that shows before
    the first checkpoint leaves no run behind (errors.py names them all).
    """
    inputs = load_inputs(config)
    make_policy(config, len(inputs.personas))
    with opened(Path(root).absolute(), config, resume=resume) as run:
        if not run.finished:
            record_origin(run, inputs)
            with ray_session(), watch(run.folder):
                train_job(partial(search_and_validate, config, inputs, run), run.checkpoints)
        summary: dict[str, Any] = run.read_json(SUMMARY)
    return summary


def load_inputs(config: BanditConfig) -> Inputs:
    """Read personas and questions, and set the fresh questions apart (at most half of all).

    Raises PersonaErrors for whatever cannot be found or read, the model's folder included.
    """
    personas = load_personas(
        config.personas,
        limit=config.persona_limit,
        bystanders=config.bystanders,
        seed=config.seed,
        prefix=config.prefix,
        duplicates=config.duplicates,
    )
    questions = load_questions(
        config.benchmark,
        data=config.data,
        seed=config.seed,
        limit=config.question_limit,
        domains=config.domains,
    )
    if len(questions) < 4:
        raise DataError(
            f"{len(questions)} questions are too few to search on some and validate on others."
        )
    search, fresh = set_apart(
        questions, min(config.validation.questions, len(questions) // 2), config.seed
    )
    # Replicas work in folders of their own, from which a relative path leads nowhere.
    model = config.model.model_copy(update={"name": portable(config.model.name)})
    return Inputs(model, personas, search, fresh)


def record_origin(run: Run, inputs: Inputs) -> None:
    """Write the provenance of a new run; a resumed one must still work on the same data."""
    people = [Question(f"{k} {persona}", "", "") for k, persona in enumerate(inputs.personas)]
    data = {
        "personas": fingerprint(people),
        "search": fingerprint(inputs.search),
        "fresh": fingerprint(inputs.fresh),
    }
    if not (run.folder / PROVENANCE).exists():
        run.write_json(PROVENANCE, provenance(data))
        return
    began = run.read_json(PROVENANCE)["data"]
    changed = [name for name in data if began.get(name) != data[name]]
    if changed:
        raise RunChangedError(
            f"Run '{run.name}' began on other data: its {' and '.join(changed)} changed.",
            "Put the files back as they were, or start a run under a new name: name=...",
        )


def make_policy(config: BanditConfig, arms: int) -> Bandit:
    """The configured algorithm; the ones that plan ahead are told the budget."""
    plan = {"budget": config.budget, "questions": config.questions_per_round}
    known = plan if config.algorithm == "halving" else {}
    for name in config.params.keys() & {"arms", "seed", "name", *plan}:
        raise ConfigError(f"params.{name} is not yours to set.", "It follows from the other settings.")
    return make_bandit(config.algorithm, arms, config.seed, **known, **config.params)


def search_and_validate(
    config: BanditConfig, inputs: Inputs, run: Run, checkpoints: Checkpoints
) -> None:
    """The job: search with checkpoints, then the fresh measurement, which ends in `summary.json`."""
    with closing(PooledModel(inputs.model)) as model:
        policy, seconds = search(config, inputs, run, checkpoints, model)
        validate(config, inputs, run, policy, model, seconds)


def search(
    config: BanditConfig, inputs: Inputs, run: Run, checkpoints: Checkpoints, model: Model
) -> tuple[Bandit, float]:
    """Spend the budget; return the policy and the seconds of work.

    Events and metrics of the rounds since the last checkpoint are dropped and made again on resume,
    so that each round is recorded once.
    """
    policy = make_policy(config, len(inputs.personas))
    state = checkpoints.load() or {
        "round": 0,
        "draws": 0,
        "evaluations": 0,
        "unscored": 0,
        "seconds": 0.0,
    }
    if "policy" in state:
        policy.load_state_dict(state["policy"])
    run.rewind(state["round"])
    began = time.monotonic() - state["seconds"]
    events: list[dict[str, Any]] = []
    first = state["round"] + 1

    while state["draws"] < config.budget and not policy.finished:
        arms = policy.select(config.arms_per_round).tolist()
        questions = questions_of_block(inputs.search, policy.block, config)
        distinct = np.unique(arms)
        scores = evaluate(
            model, [inputs.personas[arm] for arm in distinct], questions, config, config.reward
        )
        answered = dict(zip(distinct.tolist(), scores, strict=True))

        pulled, earned = scored(arms, answered)
        policy.update(pulled, earned)

        state["round"] += 1
        # A persona drawn twice in a round counts twice for the policy, but has answered once.
        state["draws"] += len(arms) * len(questions)
        state["evaluations"] += len(distinct) * len(questions)
        state["unscored"] += sum(score.reward is None for row in scores for score in row)
        state["seconds"] = time.monotonic() - began
        events += [
            event(state["round"], inputs.personas[arm], question, score)
            for arm, row in answered.items()
            for question, score in zip(questions, row, strict=True)
        ]
        metrics = round_metrics(config, inputs, policy, state, earned)
        run.append_metrics(metrics)

        done = state["draws"] >= config.budget or policy.finished
        if done or state["round"] % config.checkpoint_every == 0:
            run.save_events(first, state["round"], pd.DataFrame(events).astype(EVENT_TYPES))
            reported = {key: value for key, value in metrics.items() if isinstance(value, int | float)}
            checkpoints.save({**state, "policy": policy.state_dict()}, reported)
            events, first = [], state["round"] + 1
    return policy, state["seconds"]


def questions_of_block(
    questions: Sequence[Question], block: int, config: BanditConfig
) -> list[Question]:
    """The questions of a block: consecutive parts of one seeded shuffle after another.

    A function of the block's number alone, so that a resumed search asks the same questions.
    """
    size = min(config.questions_per_round, len(questions))
    per_epoch = len(questions) // size
    epoch, part = divmod(block, per_epoch)
    order = np.random.default_rng([config.seed, epoch]).permutation(len(questions))
    return [questions[k] for k in order[part * size : (part + 1) * size]]


def scored(arms: Sequence[int], answered: dict[int, list[Score]]) -> tuple[list[int], list[float]]:
    """Flat arms and rewards of the evaluations that earned one; failures are left out, never zero."""
    pairs = [(arm, score.reward) for arm in arms for score in answered[arm]]
    kept = [(arm, reward) for arm, reward in pairs if reward is not None]
    return [arm for arm, _ in kept], [reward for _, reward in kept]


def event(round_number: int, persona: Persona, question: Question, score: Score) -> dict[str, Any]:
    """One evaluation as a row of the events table."""
    return {
        "round": round_number,
        "persona": persona.name,
        "question": question.id,
        "reward": score.reward,
        "correct": score.correct,
        "predicted": score.predicted,
        "error": score.error,
    }


def round_metrics(
    config: BanditConfig, inputs: Inputs, policy: Bandit, state: dict[str, Any], earned: list[float]
) -> dict[str, Any]:
    """One line of `metrics.jsonl`."""
    chances = policy.probabilities()
    top = int(policy.ranking(1)[0])
    positive = chances[chances > 0]
    left = max(0, config.budget - state["draws"])
    return {
        "round": state["round"],
        "rounds": state["round"]
        + math.ceil(left / (config.arms_per_round * config.questions_per_round)),
        "evaluations": state["evaluations"],
        "unscored": state["unscored"],
        "reward": float(np.mean(earned)) if earned else None,
        "entropy": max(0.0, float(-(positive * np.log(positive)).sum())),
        "top": inputs.personas[top].name,
        "top_probability": float(chances[top]),
        "seconds": round(state["seconds"], 3),
    }
