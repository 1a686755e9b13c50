"""The search proposes, fresh questions decide.

The policy's best personas, no persona, prefixes that name nobody and some random personas answer the
same questions, which no round of the search has seen; then those of the other benchmarks.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.bandit.analysis import analyse, transferred
from rlpersona.experiments.bandit.convergence import convergence
from rlpersona.experiments.bandit.evaluation import evaluate
from rlpersona.experiments.bandit.inputs import Inputs, scored_as, searched_label
from rlpersona.experiments.bandit.learned import learned_table, selection_noise
from rlpersona.experiments.bandit.planning import anything_known, plan_for
from rlpersona.judges.base import Judge
from rlpersona.personas.controls import empty_persona, nonsense_personas
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.report.plan import plan_lines
from rlpersona.store import PERSONAS, SUMMARY, VALIDATION, Run
from rlpersona.types import Model, Persona, Question

Roles = list[tuple[str, Persona]]


def validate(
    config: BanditConfig,
    inputs: Inputs,
    run: Run,
    policy: Bandit,
    model: Model,
    seconds: float,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Measure on fresh questions and write the tables and `summary.json` (last).

    Without a search (`config.search`) nobody has won, and the baselines alone are measured.
    """
    level = config.validation.level
    ranked = policy.ranking(config.validation.winners) if config.search else ()
    roles = roles_of(config, inputs.personas, [inputs.personas[arm] for arm in ranked])
    main = searched_label(config)
    fresh = measure(config, model, roles, main, inputs.fresh, judge)
    others = {
        label: measure(scored_as(config, label), model, roles, label, questions, judge)
        for label, questions in inputs.transfer.items()
    }
    learned = learned_table(inputs.personas, policy, run.compact_events(), level)
    rounds = run.metrics()
    summary = {
        "run": run.name,
        "experiment": config.experiment,
        "model": config.model.name,
        "benchmark": main,
        "algorithm": config.algorithm,
        "personas": len(inputs.personas),
        "questions_train": len(inputs.search),
        "questions_fresh": len(inputs.fresh),
        "rounds": rounds[-1]["round"] if rounds else 0,
        "evaluations": int(learned["evaluations"].sum()),
        "seconds": round(seconds, 1),
        "seed": config.seed,
        "reward": config.reward,
        "chance": chance(config, inputs.fresh),
        "null_maximum": selection_noise(config, learned, len(inputs.search)),
        **analyse(fresh, learned, inputs.personas, level, config.validation.margin),
        "plan": planned(config, inputs),
        "convergence": convergence(rounds, inputs.personas),
        "transfer": [
            {"benchmark": label, **transferred(table, level)} for label, table in others.items()
        ],
    }
    run.write_table(VALIDATION, pd.concat([fresh, *others.values()], ignore_index=True))
    run.write_table(PERSONAS, learned)
    run.write_json(SUMMARY, summary)
    return summary


def planned(config: BanditConfig, inputs: Inputs) -> list[str]:
    """What the budget could find, in three lines; nothing without a search."""
    sizes = len(inputs.personas), len(inputs.search), len(inputs.fresh)
    if not config.search:
        return []
    return plan_lines(plan_for(config, *sizes, known=anything_known(inputs.personas)), short=True)


def chance(config: BanditConfig, questions: Sequence[Question]) -> float | None:
    """Accuracy of guessing; None where a question has no choices, and where no accuracy is measured."""
    if config.measured != "accuracy" or not all(question.choices for question in questions):
        return None
    return float(np.mean([1 / len(question.choices) for question in questions]))


def roles_of(config: BanditConfig, personas: Sequence[Persona], winners: Sequence[Persona]) -> Roles:
    """Who answers, and as what; a random persona may be a winner, too.

    Without winners, the invented names are as long as those of the random personas.
    """
    order = np.random.default_rng([config.seed, 1]).permutation(len(personas))
    drawn = [personas[k] for k in order[: config.validation.random]]
    roles: Roles = [("control", NO_PERSONA)] if config.validation.baseline else []
    roles += [("winner", persona) for persona in winners]
    roles += [("random", persona) for persona in drawn]
    if "empty" in config.validation.controls:
        roles.append(("empty", empty_persona(config.prefix)))
    if "nonsense" in config.validation.controls:
        roles += [("nonsense", persona) for persona in invented(config, personas, winners or drawn)]
    return roles


def invented(
    config: BanditConfig, personas: Sequence[Persona], like: Sequence[Persona]
) -> list[Persona]:
    """One invented name for each of `like`; none, with a warning, for names too short to imitate."""
    avoid = [persona.name for persona in personas]
    try:
        return nonsense_personas(like, config.prefix, config.seed, avoid)
    except ConfigError as error:  # the search is done: what it found is not thrown away for this
        warnings.warn(f"no nonsense control: {error}", stacklevel=2)
        return []


def measure(
    config: BanditConfig,
    model: Model,
    roles: Roles,
    label: str,
    questions: Sequence[Question],
    judge: Judge | None = None,
) -> pd.DataFrame:
    """Everybody's answers in a long table; who has two roles is asked once."""
    people = list(dict.fromkeys(persona for _, persona in roles))
    scores = evaluate(model, people, questions, config, config.measured, judge)
    answers = dict(zip(people, scores, strict=True))
    rows = [
        (label, persona.name, role, question.id, score.reward, score.error)
        for role, persona in roles
        for question, score in zip(questions, answers[persona], strict=True)
    ]
    columns = ["benchmark", "persona", "role", "question", "reward", "error"]
    return pd.DataFrame(rows, columns=columns).astype({"reward": "float64", "error": "string"})
