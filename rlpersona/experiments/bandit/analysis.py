"""From answers to fresh questions to claims: accuracies, paired gains, corrected p-values, equivalence.

Gains are paired by question. The winners are the primary claims: their p-values are corrected together
(Holm). Whatever cannot be measured is None, never a number.

The accuracy of a *set* of personas (random ones, invented names) and a gain over it are meant for others
of their kind, too: the interval takes personas and questions as random (`stats.crossed_mean`). With a
single persona, or where the table has no spread, it holds for those personas only; `personas` of a gain
says how many there were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from rlpersona.errors import DataError
from rlpersona.experiments.bandit.verdict import verdict
from rlpersona.stats import (
    CrossedEffect,
    Interval,
    PairedDifference,
    bounded_interval,
    crossed_mean,
    holm,
    paired_difference,
    set_difference,
    tost,
    wilson,
)
from rlpersona.types import Persona

Record = dict[str, Any]
Floats = npt.NDArray[np.float64]
Scores = pd.Series  # of floats, by question


def analyse(
    table: pd.DataFrame,
    learned: pd.DataFrame,
    personas: Sequence[Persona],
    level: float,
    margin: float = 0.03,
) -> Record:
    """What `summary.json` says of the fresh measurement.

    `table` is long (persona, role, question, reward, nan where unscored), `learned` has each persona's
    training reward. `level` is the confidence level of the intervals, and 1 - level that of the tests.

    `equivalent` claims that *every* winner lies within `margin` of no persona. Each must be shown to by
    itself, an intersection-union test, whose level needs no correction for their number (Berger 1982).
    """
    control = control_of(table)
    random, nonsense = wide(table, "random"), wide(table, "nonsense")
    by_name = {persona.name: persona for persona in personas}
    training = dict(zip(learned["name"], learned["reward"], strict=True))

    winners = []
    for name, scores in wide(table, "winner").items():
        winner: Record = {
            "persona": name,
            "group": by_name[str(name)].group,
            "field": by_name[str(name)].field,
            "accuracy": share(scores, level),
            "training_reward": None if np.isnan(training[name]) else float(training[name]),
            **described(gain(scores, control, level)),
            "equivalence": equivalence(scores, control, margin, level),
            "over_random": gain_over(scores, random.drop(columns=str(name), errors="ignore"), level),
            "over_nonsense": gain_over(scores, nonsense, level),
        }
        winners.append(winner)
    correct(winners)
    correct([winner["over_nonsense"] for winner in winners])

    found = {
        "unscored_share": float(table["reward"].isna().mean()) if len(table) else 0.0,
        "control": share(control, level),
        "random": mean_of(random, level),
        "random_gain": gain_of_set(random, control, level),
        "baselines": baselines(table, control, level),
        "nonsense": mean_of(nonsense, level),
        "nonsense_gain": gain_of_set(nonsense, control, level),
        "winners": winners,
        "margin": margin,
        "equivalent": bool(winners) and all((w["equivalence"] or {}).get("equivalent") for w in winners),
        "significant": bool(better(winners, 1 - level)),
    }
    return {**found, "verdict": verdict(found, better(winners, 1 - level))}


def transferred(table: pd.DataFrame, level: float) -> Record:
    """The same winners on another benchmark; p-values are corrected within the benchmark."""
    control, random = control_of(table), wide(table, "random")
    winners = [
        {"persona": name, "accuracy": share(scores, level), **described(gain(scores, control, level))}
        for name, scores in wide(table, "winner").items()
    ]
    correct(winners)
    kept = ("persona", "accuracy", "gain", "p", "p_holm")
    return {
        "questions": int(table["question"].nunique()),
        "control": share(control, level),
        "random": mean_of(random, level),
        "random_gain": gain_of_set(random, control, level),
        "winners": [{key: winner[key] for key in kept} for winner in winners],
    }


def baselines(table: pd.DataFrame, control: Scores, level: float) -> list[Record]:
    """The prefixes that name nobody, one record each."""
    records = []
    for role in ("empty", "nonsense"):
        for name, scores in wide(table, role).items():
            record = {"persona": name, "role": role, "accuracy": share(scores, level)}
            records.append(record | described(gain(scores, control, level)))
            del records[-1]["p_holm"]
    return records


def wide(table: pd.DataFrame, role: str) -> pd.DataFrame:
    """Rewards with one column per persona of a role, in its order, and one row per question."""
    part = table[table["role"] == role]
    columns = list(dict.fromkeys(part["persona"]))
    return part.pivot(index="question", columns="persona", values="reward")[columns]


def control_of(table: pd.DataFrame) -> Scores:
    """Rewards without persona, by question; all nan where no baseline was measured."""
    found = wide(table, "control")
    questions = pd.Index(table["question"].unique(), name="question").sort_values()
    return found.iloc[:, 0] if found.size else pd.Series(np.nan, index=questions)


def gain(scores: Scores, control: Scores, level: float) -> PairedDifference | None:
    """A persona's difference to the control; None below two questions that both answered."""
    try:
        return paired_difference(scores.to_numpy(), control.reindex(scores.index).to_numpy(), level)
    except DataError:
        return None


def gain_of_set(scores: pd.DataFrame, control: Scores, level: float) -> Record | None:
    """Mean gain of several personas over the control, for personas of their kind."""
    measured = scores.dropna(axis="columns", how="all")
    if measured.shape[1] == 1:
        return gain_of_one(gain(measured.iloc[:, 0], control, level))
    return mean_difference(measured.sub(control, axis="index"), level)


def gain_over(scores: Scores, others: pd.DataFrame, level: float) -> Record | None:
    """A persona's gain over the mean of personas of a kind; None where there are none."""
    measured = others.dropna(axis="columns", how="all")
    if measured.shape[1] == 1:
        return gain_of_one(gain(scores, measured.iloc[:, 0], level))
    return mean_difference(-measured.sub(scores, axis="index"), level)


def gain_of_one(found: PairedDifference | None) -> Record | None:
    """A set of one persona: the test that the persona's own gain has."""
    return {**asdict(found.difference), "p": found.p_value, "personas": 1} if found else None


def mean_difference(differences: pd.DataFrame, level: float) -> Record | None:
    """Mean of a table (question, persona) as plain data: interval, p-value, number of personas.

    A claim about personas of their kind is never bolder than one about these personas alone.
    """
    table = differences.dropna(axis="index", how="all").dropna(axis="columns", how="all").to_numpy().T
    if table.size == 0:
        return None
    try:
        these = set_difference(table, np.zeros(table.shape[1]), level)
    except DataError:
        return None
    ends, p_value, found = these.difference, these.p_value, of_their_kind(table, level)
    if found is not None:
        ends, p_value = widest(found, ends), max(p_value, found.p_value)
    return {**asdict(ends), "p": p_value, "personas": len(table)}


def of_their_kind(table: Floats, level: float) -> CrossedEffect | None:
    """The mean of a table (persona, question) for others like them; None where it does not tell."""
    try:
        found = crossed_mean(table, level)
    except DataError:  # a single persona, or too many answers missing
        return None
    return found if found.low < found.high else None


def widest(found: CrossedEffect, these: Interval) -> Interval:
    """The estimate of `found` with the outer ends of both."""
    low, high = min(found.low, these.low), max(found.high, these.high)
    return replace(these, estimate=found.estimate, low=low, high=high)


def equivalence(scores: Scores, control: Scores, margin: float, level: float) -> Record | None:
    """Two one-sided tests against the margin at 1 - level; None below two common questions."""
    try:
        found = tost(scores.to_numpy(), control.reindex(scores.index).to_numpy(), margin, 1 - level)
    except DataError:
        return None
    return {
        "margin": margin,
        "p": found.p_value,
        "equivalent": bool(found.equivalent),
        "low": found.difference.low,
        "high": found.difference.high,
    }


def share(scores: Scores, level: float) -> Record | None:
    """Wilson's interval of the share of right answers; `bounded_interval` where there are fractions."""
    kept = scores.dropna().to_numpy()
    if len(kept) and np.isin(kept, (0, 1)).all():
        return asdict(wilson(int(kept.sum()), len(kept), level))
    return asdict(within(bounded_interval(kept, level))) if len(kept) > 1 else None


def within(found: Interval) -> Interval:
    """The interval without what no share can be."""
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def mean_of(scores: pd.DataFrame, level: float) -> Record | None:
    """Mean accuracy of a set of personas, for personas of their kind; `n` counts questions."""
    measured = scores.dropna(axis="columns", how="all").dropna(axis="index", how="all")
    if not measured.size:
        return None
    these = share(measured.mean(axis="columns"), level)
    found = of_their_kind(measured.to_numpy().T, level)
    return asdict(within(widest(found, Interval(**these)))) if these and found else these


def described(difference: PairedDifference | None) -> Record:
    """A paired difference as plain data."""
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


def correct(claims: Sequence[Record | None]) -> None:
    """Set `p_holm` of all claims that have a `p`, corrected together."""
    tested = [claim for claim in claims if claim is not None and claim["p"] is not None]
    for claim, p_holm in zip(tested, holm([claim["p"] for claim in tested]), strict=True):
        claim["p_holm"] = float(p_holm)


def better(winners: Sequence[Record], alpha: float) -> list[Record]:
    """The winners that are shown to gain on no persona."""
    measured = [winner for winner in winners if winner["p_holm"] is not None]
    return [w for w in measured if w["p_holm"] < alpha and w["gain"]["estimate"] > 0]
