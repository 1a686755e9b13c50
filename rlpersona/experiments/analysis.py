"""From answers to fresh questions to claims: accuracies, paired gains, corrected p-values, a verdict.

Gains are paired by question, and the question is the unit. The winners are the primary claims: their
p-values are corrected together (Holm). Whatever cannot be measured is None, never a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.errors import DataError
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.stats import PairedDifference, holm, paired_difference, set_difference, t_interval, wilson
from rlpersona.types import Persona

Record = dict[str, Any]


def analyse(
    table: pd.DataFrame, learned: pd.DataFrame, personas: Sequence[Persona], level: float
) -> Record:
    """What `summary.json` says of the fresh measurement.

    `table` is long (persona, role, question, reward, nan where unscored), `learned` has each persona's
    training reward. `level` is the confidence level of the intervals, and 1 - level that of the test.
    """
    answers = {role: wide(table, role) for role in ("winner", "control", "random")}
    control = answers["control"][NO_PERSONA.name]
    by_name = {persona.name: persona for persona in personas}
    training = dict(zip(learned["name"], learned["reward"], strict=True))

    winners: list[Record] = []
    for name in answers["winner"].columns:
        winner: Record = {
            "persona": name,
            "group": by_name[name].group,
            "field": by_name[name].field,
            "accuracy": share(answers["winner"][name], level),
            "training_reward": None if np.isnan(training[name]) else float(training[name]),
        }
        winners.append(winner | described(gain(answers["winner"][name], control, level)))
    measured = [winner for winner in winners if winner["p"] is not None]
    corrected = holm([winner["p"] for winner in measured])
    for winner, p_holm in zip(measured, corrected, strict=True):
        winner["p_holm"] = float(p_holm)

    random_gain = gain(answers["random"], control, level)
    better = [w for w in measured if w["p_holm"] < 1 - level and w["gain"]["estimate"] > 0]
    return {
        "unscored_share": float(table["reward"].isna().mean()),
        "control": share(control, level),
        "random": mean_of(answers["random"], level),
        "random_gain": random_gain and {**asdict(random_gain.difference), "p": random_gain.p_value},
        "winners": winners,
        "significant": bool(better),
        "verdict": verdict(measured, better),
    }


def wide(table: pd.DataFrame, role: str) -> pd.DataFrame:
    """Rewards with one column per persona of a role, in its order, and one row per question."""
    part = table[table["role"] == role]
    columns = list(dict.fromkeys(part["persona"]))
    return part.pivot(index="question", columns="persona", values="reward")[columns]


def gain(
    scores: pd.Series[float] | pd.DataFrame, control: pd.Series[float], level: float
) -> PairedDifference | None:
    """Difference to the control, of a persona or of the mean of several; None below two questions."""
    try:
        if isinstance(scores, pd.Series):
            return paired_difference(scores.to_numpy(), control.to_numpy(), level)
        return set_difference(scores.to_numpy().T, control.to_numpy(), level)
    except DataError:
        return None


def share(scores: pd.Series[float], level: float) -> Record | None:
    """Wilson's interval of the share of right answers; Student's where tied choices made fractions."""
    kept = scores.dropna().to_numpy()
    if len(kept) and np.isin(kept, (0, 1)).all():
        return asdict(wilson(int(kept.sum()), len(kept), level))
    if len(kept) < 2:
        return None
    found = t_interval(kept, level)
    return asdict(replace(found, low=max(0.0, found.low), high=min(1.0, found.high)))


def mean_of(scores: pd.DataFrame, level: float) -> Record | None:
    """Student's interval of the personas' mean accuracy; the question is the unit."""
    return share(scores.mean(axis="columns"), level) if scores.size else None


def described(difference: PairedDifference | None) -> Record:
    """A winner's paired difference as plain data."""
    if difference is None:
        return {"gain": None, "p": None, "p_holm": None, "wins": 0, "losses": 0, "ties": 0}
    return {
        "gain": asdict(difference.difference),
        "p": difference.p_value,
        "p_holm": None,
        "wins": difference.wins,
        "losses": difference.losses,
        "ties": difference.ties,
    }


def verdict(measured: Sequence[Record], better: Sequence[Record]) -> str:
    """The result in a sentence."""
    if not measured:
        return "Nothing could be measured: too few fresh questions were scored."
    if better:
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


def points(interval: Record) -> str:
    """`+12.5 points [+8.1, +16.9]`."""
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"{100 * interval['estimate']:+.1f} points [{low:+.1f}, {high:+.1f}]"
