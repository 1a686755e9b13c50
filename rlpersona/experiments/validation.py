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
from rlpersona.store import Run
from rlpersona.types import Model, Persona

if TYPE_CHECKING:
    from rlpersona.experiments.bandit import Inputs


def validate(
    config: BanditConfig, inputs: Inputs, run: Run, policy: Bandit, model: Model, seconds: float
) -> dict[str, Any]:
    """Measure the winners on fresh questions and write the tables and `summary.json` (last)."""
    winners = [inputs.personas[arm] for arm in policy.ranking(config.validation.winners)]
    others = [persona for persona in inputs.personas if persona not in winners]
    drawn = np.random.default_rng([config.seed, 1]).permutation(len(others))[: config.validation.random]
    roles = (
        [("control", NO_PERSONA)]
        + [("winner", persona) for persona in winners]
        + [("random", others[k]) for k in drawn]
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
        "rounds": len(run.metrics()),
        "evaluations": int(policy.counts.sum()),
        "seconds": round(seconds, 1),
        "seed": config.seed,
        "reward": config.reward,
        "null_maximum": selection_noise(config, learned),
        **analyse(table, learned, inputs.personas, config.validation.level),
    }
    run.write_table("validation.parquet", table)
    run.write_table("personas.parquet", learned)
    run.write_json("summary.json", summary)
    return summary


def learned_table(personas: list[Persona], policy: Bandit, events: pd.DataFrame) -> pd.DataFrame:
    """What the search learned, one row per persona; the reward of one never drawn is NaN."""
    rounds = events.groupby("persona")["round"].nunique() if len(events) else pd.Series(dtype=int)
    names = [persona.name for persona in personas]
    return pd.DataFrame(
        {
            "name": names,
            "group": [persona.group for persona in personas],
            "field": [persona.field for persona in personas],
            "era": [persona.era for persona in personas],
            "pulls": rounds.reindex(names, fill_value=0).to_numpy(),
            "evaluations": policy.counts,
            "reward": policy.means(),
            "probability": policy.probabilities(),
        }
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
