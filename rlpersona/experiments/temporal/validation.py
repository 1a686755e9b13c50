"""Era x content: do people of modern eras answer modern questions better than people of the past do?

Everybody answers every question, so that personas and questions are crossed, and both count as samples:
a claim is one about other people of these eras and other questions of these kinds. Which questions are
modern is decided by raters who see neither personas nor answers; where two disagree, the question is
left out. Fame, which goes with era, is held constant in two ways (`eras.analyse_eras`).

Left out on purpose: a search. It would choose personas by the very answers that are compared.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.config import ModelConfig, TemporalConfig
from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.experiments.bandit.evaluation import evaluate
from rlpersona.experiments.origin import of_texts, record_origin
from rlpersona.experiments.temporal.eras import ERAS, KINDS, Grid, analyse_eras, grid_fields
from rlpersona.experiments.temporal.ratings import (
    MODEL,
    Ratings,
    agreements,
    disputed,
    kinds_of,
    model_ratings,
    written_ratings,
)
from rlpersona.experiments.tracking.following import services, tracked
from rlpersona.models.locate import portable
from rlpersona.personas.roster import load_personas
from rlpersona.report.live import watch
from rlpersona.runtime.metrics import work_for
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.train import Checkpoints, train_job
from rlpersona.store import SUMMARY, Run, opened
from rlpersona.tasks import load_questions, sample_questions
from rlpersona.tasks.prompts import check_mode
from rlpersona.types import Model, Persona, Question, Score

ANSWERS, LABELS = "answers.parquet", "labels.json"
ABSTENTION = "I do not know."
ABSTAINS = re.compile(
    r"\W*(sorry,? )?(i (really |just )?(do not|don['’]?t|cannot|can['’]?t) (know|say|tell|answer)"
    r"|i( am|['’]m) (not sure|unsure|unable to)|(i have )?no idea|unknown\W*$|unanswerable)",
    re.IGNORECASE,
)
COLUMNS = {
    "round": "int64",
    "persona": "string",
    "era": "string",
    "question": "string",
    "kind": "string",
    "reward": "float64",
    "answered": "float64",
    "predicted": "string",
    "error": "string",
}


@dataclass(frozen=True)
class Inputs:
    """Who answers (`sides` gives each persona's place in `ERAS`), what, and what is written of it."""

    model: ModelConfig
    personas: list[Persona]
    sides: list[int]
    questions: list[Question]
    ratings: Ratings

    def fingerprints(self) -> dict[str, str]:
        """A hash for each part of the data."""
        return {
            "personas": of_texts(f"{k} {persona}" for k, persona in enumerate(self.personas)),
            "questions": of_texts(f"{asked.id} {asked.choices}" for asked in self.questions),
            "labels": of_texts(f"{rater} {labels}" for rater, labels in self.ratings.items()),
        }


def run_temporal(
    config: TemporalConfig, root: Path | str = "runs", *, resume: bool = False
) -> dict[str, Any]:
    """Run or resume the whole experiment and return its summary, which `summary.json` holds too.

    The run folder also gets `answers.parquet`, one row per persona and question, and `labels.json`, what
    each rater said. Mistakes of the user are PersonaErrors, found before anything is started where they
    can be.
    """
    inputs, chosen = load_inputs(config), services()
    with opened(Path(root).absolute(), config, resume=resume) as run:
        if not run.finished:
            record_origin(run, inputs)
            with ray_session(), tracked(run, chosen), watch(run.folder):
                train_job(partial(ask_and_analyse, config, inputs, run), run.checkpoints)
        summary: dict[str, Any] = run.read_json(SUMMARY)
    return summary


def load_inputs(config: TemporalConfig) -> Inputs:
    """Read personas, questions and the labels that are written somewhere.

    Raises PersonaErrors for whatever cannot be found, read, or compared.
    """
    everybody = load_personas(
        config.personas,
        limit=config.persona_limit,
        sample=config.persona_sample,
        groups=config.persona_groups,
        seed=config.seed,
        prefix=config.prefix,
        duplicates=config.duplicates,
    )
    sides = sides_of(everybody, config)
    everything = load_questions(
        config.benchmark, data=config.data, seed=config.seed, domains=config.domains
    )
    ratings = written_ratings(config, everything)
    labelled = [q for q in everything if all(q.id in labels for labels in ratings.values())]
    questions = sample_questions(labelled, config.question_limit, config.seed)
    ratings = {name: {q.id: labels[q.id] for q in questions} for name, labels in ratings.items()}
    if MODEL not in config.labels:
        kinds = kinds_of(ratings, config)
        questions = [question for question in questions if question.id in kinds]
    if config.abstain:
        questions = [with_way_out(question) for question in questions]
    check_mode(questions, config.mode)
    model = config.model.model_copy(update={"name": portable(config.model.name)})
    return Inputs(model, [everybody[k] for k in sides], list(sides.values()), questions, ratings)


def sides_of(people: Sequence[Persona], config: TemporalConfig) -> dict[int, int]:
    """`{position: place in ERAS}` of the people whose era takes part; DataError below two of either."""
    known = {person.era for person in people if person.era}
    unknown = [era for era in config.earlier_eras if era not in known]
    if known.isdisjoint(config.modern_eras):
        unknown.insert(0, config.modern_eras[0])
    if known and unknown:
        raise ConfigError(
            f"no persona here is of the era '{unknown[0]}'", did_you_mean(unknown[0], known)
        )
    sides = {}
    for k, person in enumerate(people):
        if person.era in config.modern_eras:
            sides[k] = ERAS.index("modern")
        elif person.era and (not config.earlier_eras or person.era in config.earlier_eras):
            sides[k] = ERAS.index("earlier")
    for side, era in enumerate(ERAS):
        count = sum(found == side for found in sides.values())
        if count < 2:
            raise DataError(
                f"{count} of {len(people)} personas are of {era} eras, and two are needed",
                "Give a roster with eras, or name them: modern_eras=..., earlier_eras=...",
            )
    return sides


def with_way_out(question: Question) -> Question:
    """The question with one more choice, `ABSTENTION`; an open question needs none."""
    if not question.choices or ABSTENTION in question.choices:
        return question
    return replace(question, choices=(*question.choices, ABSTENTION))


def ask_and_analyse(config: TemporalConfig, inputs: Inputs, run: Run, checkpoints: Checkpoints) -> None:
    """The job: label, ask everybody everything with checkpoints, then `summary.json` (last)."""
    work_for(run.name)
    with closing(PooledModel(inputs.model)) as model:
        ratings, seconds = ask(config, inputs, run, checkpoints, model)
    conclude(config, inputs, run, ratings, seconds)


def ask(
    config: TemporalConfig, inputs: Inputs, run: Run, checkpoints: Checkpoints, model: Model
) -> tuple[Ratings, float]:
    """Rate the questions and collect all answers, `config.chunk` personas at a time.

    Answers since the last checkpoint are dropped and asked again on resume, so each is recorded once.
    """
    ratings = dict(inputs.ratings)
    if (run.folder / LABELS).exists():
        ratings = run.read_json(LABELS)
    elif MODEL in config.labels:
        ratings |= model_ratings(config, inputs.questions, model)
    kinds = kinds_of(ratings, config)
    run.write_json(LABELS, ratings)
    questions = [question for question in inputs.questions if question.id in kinds]

    state = checkpoints.load() or {"round": 0, "evaluations": 0, "unscored": 0, "seconds": 0.0}
    run.rewind(state["round"])
    began = time.monotonic() - state["seconds"]
    rounds = -(-len(inputs.personas) // config.chunk)
    for number in range(state["round"] + 1, rounds + 1):
        here = range((number - 1) * config.chunk, min(number * config.chunk, len(inputs.personas)))
        scores = evaluate(model, [inputs.personas[k] for k in here], questions, config, "accuracy")
        rows = [
            row(number, inputs.personas[k].name, ERAS[inputs.sides[k]], question, kinds, score)
            for k, answers in zip(here, scores, strict=True)
            for question, score in zip(questions, answers, strict=True)
        ]
        table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
        state = {
            "round": number,
            "evaluations": state["evaluations"] + len(table),
            "unscored": state["unscored"] + int(table["reward"].isna().sum()),
            "seconds": round(time.monotonic() - began, 3),
        }
        mean = table["reward"].mean()
        run.append_metrics({**state, "rounds": rounds, "reward": None if np.isnan(mean) else mean})
        run.save_events(number, number, table)
        checkpoints.save(state, {"round": number})
    return ratings, float(state["seconds"])


def row(
    number: int, persona: str, era: str, question: Question, kinds: dict[str, str], score: Score
) -> tuple[Any, ...]:
    """One answer; who abstains has not answered, and earns nothing."""
    abstained = abstains(score, question)
    reward = 0.0 if abstained else score.reward
    answered = None if reward is None else float(not abstained)
    kind = kinds[question.id]
    return number, persona, era, question.id, kind, reward, answered, score.predicted, score.error


def abstains(score: Score, question: Question) -> bool:
    """Whether an answer is the choice not to answer, or in an open question says so."""
    if score.predicted is None:
        return False
    if question.choices:
        return score.predicted == ABSTENTION
    return bool(ABSTAINS.match(score.predicted))


def conclude(
    config: TemporalConfig, inputs: Inputs, run: Run, ratings: Ratings, seconds: float
) -> dict[str, Any]:
    """Analyse all answers; write `answers.parquet` and `summary.json` (last)."""
    table = run.events()
    grid = grid_of(table, inputs)
    summary = {
        "run": run.name,
        "experiment": config.experiment,
        "model": config.model.name,
        "benchmark": config.benchmark,
        "seed": config.seed,
        "seconds": round(seconds, 1),
        "evaluations": len(table),
        "personas": {era: int((grid.era == k).sum()) for k, era in enumerate(ERAS)},
        "questions": {kind: int((grid.kind == k).sum()) for k, kind in enumerate(KINDS)},
        "questions_disputed": disputed(ratings),
        "raters": list(ratings),
        "agreement": agreements(ratings, config.level),
        **analyse_eras(grid, config.level, config.caliper),
    }
    run.write_table(ANSWERS, table)
    run.compact_events()
    run.write_json(SUMMARY, summary)
    return summary


def grid_of(table: pd.DataFrame, inputs: Inputs) -> Grid:
    """The long table as personas x questions, in the order of the inputs."""
    names = [persona.name for persona in inputs.personas]
    wide = {
        column: table.pivot(index="persona", columns="question", values=column).loc[names]
        for column in ("reward", "answered")
    }
    kinds = table.drop_duplicates("question").set_index("question")["kind"]
    fame, fields = grid_fields(inputs.personas)
    return Grid(
        correct=wide["reward"].to_numpy(np.float64),
        answered=wide["answered"].to_numpy(np.float64),
        era=np.array(inputs.sides),
        kind=np.array([KINDS.index(kinds[key]) for key in wide["reward"].columns]),
        fame=fame,
        fields=fields,
    )
