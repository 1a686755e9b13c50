"""The search proposes, fresh questions decide.

The policy's best personas, the no-persona control and some random personas answer the same questions,
which no round of the search has seen. Gains are paired by question; the winners' p-values are corrected
together (Holm), because they are the primary claims.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rlpersona.bandits import Bandit
from rlpersona.config import BanditConfig
from rlpersona.errors import DataError
from rlpersona.experiments.evaluation import evaluate
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.stats import (
    PairedDifference,
    holm,
    null_maximum,
    paired_difference,
    set_difference,
    t_interval,
    wilson,
)
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


def analyse(
    table: pd.DataFrame, learned: pd.DataFrame, personas: list[Persona], level: float
) -> dict[str, Any]:
    """Accuracy and paired gain of each winner, of the control and of the random personas.

    Whatever cannot be measured (fewer than two scored questions) is None, never a number.
    """
    wide = {
        role: part.pivot(index="persona", columns="question", values="reward")
        for role, part in table.groupby("role")
    }
    control = wide["control"].loc[NO_PERSONA.name]
    by_name = {persona.name: persona for persona in personas}
    training = learned.set_index("name")["reward"]
    names = list(dict.fromkeys(table.loc[table["role"] == "winner", "persona"]))

    gains = {name: gain(wide["winner"].loc[name], control, level) for name in names}
    measured = [name for name in names if gains[name] is not None]
    corrected = dict(zip(measured, holm([gains[name].p_value for name in measured]), strict=True))
    winners = [
        {
            "persona": name,
            "group": by_name[name].group,
            "field": by_name[name].field,
            "accuracy": share(wide["winner"].loc[name], level),
            "training_reward": None if np.isnan(training[name]) else float(training[name]),
            **described(gains[name]),
            "p_holm": float(corrected[name]) if name in corrected else None,
        }
        for name in names
    ]
    random = wide.get("random")
    random_gain = None if random is None else gain(random, control, level)
    significant = any(
        winner["p_holm"] is not None and winner["p_holm"] < 1 - level and winner["gain"]["estimate"] > 0
        for winner in winners
    )
    return {
        "unscored_share": float(table["reward"].isna().mean()),
        "control": share(control, level),
        "random": None if random is None else mean_of(random, level),
        "random_gain": random_gain and {**asdict(random_gain.difference), "p": random_gain.p_value},
        "winners": winners,
        "significant": significant,
        "verdict": verdict(winners, significant),
    }


def gain(scores: pd.Series | pd.DataFrame, control: pd.Series, level: float) -> PairedDifference | None:
    """The paired difference on the questions that both were scored on; None below two of them."""
    compare = paired_difference if scores.ndim == 1 else set_difference
    try:
        return compare(scores[control.index].to_numpy(), control.to_numpy(), level)
    except DataError:
        return None


def share(scores: pd.Series, level: float) -> dict[str, Any] | None:
    """Wilson's interval of the share of right answers; Student's where a tie of choices made fractions."""
    kept = scores.dropna().to_numpy()
    if np.isin(kept, (0, 1)).all() and len(kept):
        return asdict(wilson(int(kept.sum()), len(kept), level))
    return asdict(t_interval(kept, level)) if len(kept) > 1 else None


def mean_of(scores: pd.DataFrame, level: float) -> dict[str, Any] | None:
    """Student's interval of the personas' mean accuracy; the question is the unit."""
    means = scores.mean(axis=0).dropna().to_numpy()
    return asdict(t_interval(means, level)) if len(means) > 1 else None


def described(difference: PairedDifference | None) -> dict[str, Any]:
    """A paired difference as plain data."""
    if difference is None:
        return {"gain": None, "p": None, "wins": 0, "losses": 0, "ties": 0}
    return {
        "gain": asdict(difference.difference),
        "p": difference.p_value,
        "wins": difference.wins,
        "losses": difference.losses,
        "ties": difference.ties,
    }


def verdict(winners: list[dict[str, Any]], significant: bool) -> str:
    """The result in one sentence."""
    measured = [winner for winner in winners if winner["gain"] is not None]
    if not measured:
        return "Nothing could be measured: no fresh question was scored."
    if significant:
        better = [winner for winner in measured if winner["gain"]["estimate"] > 0]
        best = min(better, key=lambda winner: (winner["p_holm"], -winner["gain"]["estimate"]))
        return (
            f"{best['persona']} answers better than no persona: {points(best['gain'])} on "
            f"{best['gain']['n']} fresh questions."
        )
    most = max((winner["gain"] for winner in measured), key=lambda gain: gain["estimate"])
    ceiling = 100 * max(winner["gain"]["high"] for winner in measured)
    return (
        f"No persona is shown to be better than no persona: the best of {len(measured)} winners gains "
        f"{points(most)} on {most['n']} fresh questions, and none of them gains more than {ceiling:.1f} "
        "points at that level of confidence."
    )


def points(interval: dict[str, Any]) -> str:
    """`+12.5 points [8.1, 16.9]`."""
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"{100 * interval['estimate']:+.1f} points [{low:+.1f}, {high:+.1f}]"
