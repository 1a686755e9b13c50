"""What an experiment works on, and the policy that fits it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

from rlpersona.bandits import BANDITS, Bandit, make_bandit
from rlpersona.config import BanditConfig, ModelConfig, SourceConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.experiments.judging import choice_of
from rlpersona.experiments.origin import of_texts
from rlpersona.models.locate import portable
from rlpersona.personas.features import persona_features
from rlpersona.personas.roster import load_personas
from rlpersona.tasks import check_scoring, fingerprint, load_questions, set_apart
from rlpersona.types import Persona, Question

CONTEXT = 64  # features of a question that a per-question policy sees


@dataclass(frozen=True)
class Inputs:
    """Who answers, with which model, and disjoint sets of questions.

    `search` and `fresh` share no text; `transfer` holds those of other benchmarks, by label.
    """

    model: ModelConfig
    personas: list[Persona]
    search: list[Question]
    fresh: list[Question]
    transfer: dict[str, list[Question]] = field(default_factory=dict)

    def fingerprints(self) -> dict[str, str]:
        """A hash for each part of the data, the order of the personas included."""
        return {
            "personas": of_texts(f"{k} {persona}" for k, persona in enumerate(self.personas)),
            "search": fingerprint(self.search),
            "fresh": fingerprint(self.fresh),
            **{f"transfer {label}": fingerprint(asked) for label, asked in self.transfer.items()},
        }


def arms(config: BanditConfig, source: str) -> list[Persona]:
    """The personas of a bandit in the order of its arms; `source` is a built-in roster or a file."""
    return load_personas(
        source,
        limit=config.persona_limit,
        sample=config.persona_sample,
        groups=config.persona_groups,
        bystanders=config.bystanders,
        seed=config.seed,
        prefix=config.prefix,
        duplicates=config.duplicates,
    )


def load_inputs(config: BanditConfig) -> Inputs:
    """Read personas and questions, and set the fresh questions apart (at most half of all).

    Raises PersonaErrors for whatever cannot be found or read, the model's folder included.
    """
    personas = arms(config, config.personas)
    questions: list[Question] = []
    for source in sources(config):
        known = {(question.source, question.id) for question in questions}
        found = questions_of(source, config.seed)
        if any((question.source, question.id) in known for question in found):
            raise ConfigError(f"also={source.label} repeats questions.", "Give other benchmarks.")
        questions += found
    if len(questions) < 4:
        raise DataError(
            f"{len(questions)} questions are too few to search on some and validate on others."
        )
    check(questions, config)
    refuse_idle(config)
    search, fresh = set_apart(
        questions, min(config.validation.questions, len(questions) // 2), config.seed
    )
    seen = {question.text for question in search}
    transfer: dict[str, list[Question]] = {}
    for source in config.transfer:
        if source.label in {*transfer, searched_label(config)}:
            raise ConfigError(f"transfer={source.label} is measured anyway.", "Give other benchmarks.")
        others = [q for q in questions_of(source, config.seed) if q.text not in seen]
        if not others:
            raise DataError(
                f"transfer={source.label}: the search asks all of its questions",
                "Give another benchmark, or other domains of it.",
            )
        check(others, config)
        transfer[source.label] = set_apart(others, config.transfer_questions, config.seed)[1]
    # Replicas work in folders of their own, from which a relative path leads nowhere.
    model = config.model.model_copy(update={"name": portable(config.model.name)})
    return Inputs(model, personas, search, fresh, transfer)


def check(questions: Sequence[Question], config: BanditConfig) -> None:
    """ConfigError where a question cannot be scored as the config wants it."""
    if config.reward == "judged":
        choice_of(config.judge)
    else:
        check_scoring(questions, config.mode)


def refuse_idle(config: BanditConfig) -> None:
    """ConfigError for a setting that would change nothing: whoever gave it expects that it does."""
    told = config.algorithm in BANDITS and BANDITS[config.algorithm].contextual
    idle = {
        "transfer_every": bool(config.transfer_every) and not config.transfer,
        "persona_sample": config.persona_sample != "random" and config.persona_limit is None,
        "features": config.features != BanditConfig.model_fields["features"].default and not told,
        "normalise": config.normalise != "none" and config.mode == "generate",
    }
    needs = {
        "transfer_every": "transfer=BENCHMARK",
        "persona_sample": "persona_limit=NUMBER",
        "features": "algorithm=hierarchical, ridge-halving or linear-thompson",
        "normalise": "mode=likelihood",
    }
    for name, useless in idle.items():
        if useless and not (name == "persona_sample" and config.persona_sample == "pairs"):
            raise ConfigError(f"{name} changes nothing here.", f"It needs {needs[name]}; or drop it.")


def sources(config: BanditConfig) -> list[SourceConfig]:
    """The benchmarks to search on: the main one and those of `also`."""
    main = SourceConfig(
        benchmark=config.benchmark,
        data=config.data,
        domains=config.domains,
        question_limit=config.question_limit,
    )
    return [main, *config.also]


def searched_label(config: BanditConfig) -> str:
    """What is searched on, in tables."""
    return " + ".join(source.label for source in sources(config))


def scored_as(config: BanditConfig, label: str) -> BanditConfig:
    """The config as it scores the other benchmark of that label."""
    (source,) = (source for source in config.transfer if source.label == label)
    return config.model_copy(update={"normalise": source.normalise or config.normalise})


def questions_of(source: SourceConfig, seed: int) -> list[Question]:
    """The questions that a source describes."""
    return load_questions(
        source.benchmark,
        data=source.data,
        seed=seed,
        limit=source.question_limit,
        domains=source.domains,
    )


def make_policy(config: BanditConfig, personas: Sequence[Persona]) -> Bandit:
    """The configured algorithm; it is told of budget and features what its parameters ask for."""
    ours = {"budget": config.budget, "questions": config.questions_per_round, "context_size": CONTEXT}
    for name in config.params.keys() & {"arms", "seed", "name", "features", *ours}:
        raise ConfigError(f"params.{name} is not yours to set.", "It follows from the other settings.")
    given: dict[str, object] = {}
    if config.algorithm in BANDITS:
        asked = inspect.signature(BANDITS[config.algorithm]).parameters
        given = {name: value for name, value in ours.items() if name in asked}
        if BANDITS[config.algorithm].contextual:
            given["features"] = persona_features(personas, use=config.features)
    return make_bandit(config.algorithm, len(personas), config.seed, **given, **config.params)
