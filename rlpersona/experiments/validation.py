"""The search proposes, fresh questions decide.

The policy's best personas, the no-persona control and some random personas answer the same questions,
which no round of the search has seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig
from rlpersona.experiments.analysis import analyse
from rlpersona.experiments.evaluation import evaluate
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.stats import null_maximum
from rlpersona.store import PERSONAS, SUMMARY, VALIDATION, Run
from rlpersona.types import Model, Persona

if TYPE_CHECKING:
    from rlpersona.experiments.bandit import Inputs


def validate(
    config: BanditConfig, inputs: Inputs, run: Run, policy: Bandit, model: Model, seconds: float
) -> dict[str, Any]:
    """Measure the winners on fresh questions and write the tables and `summary.json` (last)."""
    winners = [inputs.personas[arm] for arm in policy.ranking(config.validation.winners)]
    order = np.random.default_rng([config.seed, 1]).permutation(len(inputs.personas))
    drawn = [inputs.personas[k] for k in order[: config.validation.random]]
    roles = (
        [("control", NO_PERSONA)]
        + [("winner", persona) for persona in winners]
        + [("random", persona) for persona in drawn]
    )
    scores = evaluate(model, [persona for _, persona in roles], inputs.fresh, config, "accuracy")
    table = pd.DataFrame(
        {
            "persona": persona.name,
            "role": role,
            "question": question.id,
            "reward": np.nan if score.reward is None else score.reward,
            "error": score.error,
        }
        for (role, persona), row in zip(roles, scores, strict=True)
        for question, score in zip(inputs.fresh, row, strict=True)
    )
    learned = learned_table(inputs.personas, policy, run.compact_events())
    summary = {
        "run": run.name,
        "experiment": config.experiment,
        "model": config.model.name,
        "benchmark": config.benchmark,
        "algorithm": config.algorithm,
        "personas": len(inputs.personas),
        "questions_train": len(inputs.search),
        "questions_fresh": len(inputs.fresh),
        "rounds": run.metrics()[-1]["round"],
        "evaluations": int(learned["evaluations"].sum()),
        "seconds": round(seconds, 1),
        "seed": config.seed,
        "reward": config.reward,
        "null_maximum": selection_noise(config, learned),
        **analyse(table, learned, inputs.personas, config.validation.level),
    }
    run.write_table(VALIDATION, table)
    run.write_table(PERSONAS, learned)
    run.write_json(SUMMARY, summary)
    return summary


def learned_table(personas: list[Persona], policy: Bandit, events: pd.DataFrame) -> pd.DataFrame:
    """What the search learned, one row per persona; the reward of one never drawn is NaN."""
    names = [persona.name for persona in personas]
    seen = events.groupby("persona").agg(
        pulls=("round", "nunique"), evaluations=("reward", "size"), reward=("reward", "mean")
    )
    learned = seen.reindex(names).reset_index(names="name").fillna({"pulls": 0, "evaluations": 0})
    return learned.astype({"pulls": int, "evaluations": int}).assign(
        group=pd.array([persona.group for persona in personas], dtype="string"),
        field=pd.array([persona.field for persona in personas], dtype="string"),
        era=pd.array([persona.era for persona in personas], dtype="string"),
        probability=policy.probabilities(),
    )


def selection_noise(config: BanditConfig, learned: pd.DataFrame) -> float | None:
    """What the best of equal personas would gain by chance, had the budget been spent evenly.

    None for fractional rewards, whose spread is not binomial.
    """
    asked = int(learned["evaluations"].sum() / len(learned))
    if config.reward != "accuracy" or asked < 1:
        return None
    overall = float((learned["reward"] * learned["evaluations"]).sum() / learned["evaluations"].sum())
    return null_maximum(len(learned), asked, overall)
