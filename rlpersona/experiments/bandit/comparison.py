"""Finished runs beside each other: do their policies, their means and their validated gains agree?

Two leaderboards of noise cannot agree, and two searches on the same questions agree in their noise. So
an overlap stands beside the one expected by chance, a correlation beside the highest that the noise of
the two allows, and what makes runs hard to compare is said rather than refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError, RunError
from rlpersona.experiments.bandit.leaderboards import Record, correlation, distance, overlap, split_half
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.report.data import RunData, read_run
from rlpersona.stats import PairedDifference, holm, paired_difference
from rlpersona.stats.intervals import check_level
from rlpersona.stats.unpaired import welch_difference
from rlpersona.store import Run

SETTINGS = {
    "mode": "ways to answer (mode)",
    "normalise": "normalisations (normalise)",
    "prefix": "system prompts (prefix)",
    "max_tokens": "lengths of an answer (max_tokens)",
}
"""Settings that change what an accuracy measures."""


@dataclass(frozen=True)
class Compared:
    """One run as it is compared: its files, its evaluations, and the gain of each validated persona
    per fresh question (NaN where the persona or the control was not scored)."""

    data: RunData
    events: pd.DataFrame | None
    gains: pd.DataFrame

    @property
    def name(self) -> str:
        """The run's name."""
        return self.data.folder.name

    @property
    def learned(self) -> pd.DataFrame:
        """What the search learned, by persona."""
        return self.data.personas.drop_duplicates("name").set_index("name")


def compare(folders: Sequence[Path], top: int = 10, level: float = 0.95) -> Record:
    """Compare finished bandit runs, each with each; plain data, as `summary.json` is.

    `runs` has one row per run, `pairs` one entry per two runs, `level` is that of every interval.
    Raises ConfigError for fewer than two runs, RunError for one that is not finished or broken.
    """
    check_level(level)
    if top < 1:
        raise ConfigError(f"top={top} compares nobody", "Give at least 1.")
    if len({folder.absolute() for folder in folders}) < 2:
        raise ConfigError("One run compares with nothing.", "Name two different runs or more.")
    runs = [load(folder) for folder in folders]
    return {
        "level": level,
        "top": top,
        "runs": [row(run) for run in runs],
        "pairs": [pair(one, other, top, level) for one, other in combinations(runs, 2)],
    }


def load(folder: Path) -> Compared:
    """Read a run folder. RunError if it is unfinished or broken; events alone may be absent."""
    data = read_run(folder)
    try:
        events = Run(folder).events()
    except (OSError, ValueError) as error:
        raise RunError(
            f"The events of {folder.name} cannot be read: {error}.",
            "Remove the run's events.parquet to compare it without a noise ceiling.",
        ) from None
    told = {"persona", "question", "reward"} <= set(events)
    return Compared(data, events if told else None, question_gains(data.validation))


def question_gains(validation: pd.DataFrame) -> pd.DataFrame:
    """Reward minus the no-persona control's on the same question: rows questions, columns personas.

    Of the main benchmark alone where personas were measured on several. Without a control there are
    no gains, and no columns.
    """
    table = validation
    if "benchmark" in table and len(table):
        table = table[table["benchmark"] == table["benchmark"].iloc[0]]
    nobody = table["persona"].isna() | (table["persona"] == NO_PERSONA.name)
    control = table[(table["role"] == "control") & nobody].set_index("question")["reward"]
    measured = table[table["role"].isin(["winner", "random"])]
    rewards = measured.drop_duplicates(["persona", "question"]).pivot(
        index="question", columns="persona", values="reward"
    )
    rewards = rewards[list(dict.fromkeys(measured["persona"]))]
    if control.empty:
        return rewards.iloc[:, :0]
    return rewards.sub(control[~control.index.duplicated()].reindex(rewards.index), axis="index")


def row(run: Compared) -> Record:
    """One run in the table of runs: who it was, and its first winner's gain.

    The first winner is the policy's choice, made before the fresh questions; the best of several
    measured winners would flatter the run.
    """
    summary = run.data.summary
    first = summary.winners[0] if summary.winners else None
    return {
        "run": run.name,
        "model": summary.model,
        "benchmark": summary.benchmark,
        "algorithm": summary.algorithm,
        "personas": summary.personas,
        "evaluations": summary.evaluations,
        "winner": first and first.persona,
        "gain": first and first.gain.model_dump(exclude={"p"}),
        "significant": summary.significant,
    }


def pair(one: Compared, other: Compared, top: int, level: float) -> Record:
    """Everything that two runs have in common."""
    rows = one.learned.add_suffix("_a").join(other.learned.add_suffix("_b"), how="inner")
    both = rows[(rows["evaluations_a"] > 0) & (rows["evaluations_b"] > 0)]
    both = both.dropna(subset=["reward_a", "reward_b"])
    shrunk = {"shrunk_a", "shrunk_b"} <= set(rows)
    validated = one.gains.columns.intersection(other.gains.columns, sort=False)
    same = [str(name) for name in validated if same_answers(one, other, name)]
    ceiling = noise_ceiling(one, other, both.index)
    return {
        "runs": [one.name, other.name],
        "notes": notes(one, other, len(rows)),
        "personas": len(rows),
        "evaluated": len(both),
        "overlap": overlap(standing(both, "_a", 0), standing(both, "_b", 1), top),
        "means": correlation(both["reward_a"], both["reward_b"], ceiling, level),
        "shrunk": correlation(both["shrunk_a"], both["shrunk_b"], None, level) if shrunk else None,
        "distribution": distance(rows["probability_a"], rows["probability_b"]),
        "leaders": leaders(one, other, level),
        "same": same,
        "gains": gains(one, other, level, [name for name in validated if name not in same]),
    }


def standing(both: pd.DataFrame, side: str, seed: int) -> pd.Index[Any]:
    """Personas by the policy, then by how often and how well they answered; ties at random, since the
    order of the roster is common to both runs."""
    shuffled = both.iloc[np.random.default_rng(seed).permutation(len(both))]
    columns = [f"{column}{side}" for column in ("probability", "evaluations", "reward")]
    return shuffled.sort_values(columns, ascending=False, kind="stable").index


def noise_ceiling(one: Compared, other: Compared, names: pd.Index[Any]) -> float | None:
    """The rank correlation that two noisy leaderboards of one truth have: sqrt(rel_a rel_b).

    Spearman's (1904) attenuation, from the split-half reliability of each run's means over these
    personas. None where the evaluations do not tell.
    """
    ceiling = 1.0
    for events in (one.events, other.events):
        half = None if events is None else split_half(events[events["persona"].isin(names)])
        if half is None:
            return None
        ceiling *= max(half, 0.0)
    return math.sqrt(ceiling)


def leaders(one: Compared, other: Compared, level: float) -> Record | None:
    """The first winners' gains, the first run's minus the second's; None without either."""
    firsts = [run.data.summary.winners[0].persona for run in (one, other) if run.data.summary.winners]
    if len(firsts) < 2 or firsts[0] not in one.gains or firsts[1] not in other.gains:
        return None
    found = difference(one.gains[firsts[0]], other.gains[firsts[1]], level)
    same = firsts[0] == firsts[1] and same_answers(one, other, firsts[0])
    return found and {"personas": firsts, "same": same, **found}


def same_answers(one: Compared, other: Compared, name: str) -> bool:
    """Whether a persona, and no persona, scored the same in both runs, on all fresh questions that most
    of them share: a repetition, whose difference of zero has no error to estimate."""
    first, second = scores(one, name), scores(other, name)
    shared = first.index.intersection(second.index)
    return mostly(shared, first, second) and first[shared].equals(second[shared])


def mostly(shared: pd.Index[Any], first: pd.Series[float], second: pd.Series[float]) -> bool:
    """Whether the shared entries are at least half of the smaller series, and two."""
    return len(shared) >= 2 and 2 * len(shared) >= min(len(first), len(second))


def scores(run: Compared, name: str) -> pd.Series[float]:
    """The rewards of a persona and of no persona, by who and question."""
    table = run.data.validation.fillna({"persona": NO_PERSONA.name})
    role = table["role"].isin(["control", "winner", "random"])
    kept = table[role & table["persona"].isin([name, NO_PERSONA.name])]
    by = ["persona", "question"]
    return kept.drop_duplicates(by).set_index(by)["reward"].sort_index()


def gains(one: Compared, other: Compared, level: float, names: Sequence[str]) -> list[Record]:
    """Of each named persona that both runs validated: its two gains and their difference, p-values by
    Holm."""
    found = []
    for name in names:
        result = difference(one.gains[name], other.gains[name], level)
        if result:
            found.append({"persona": str(name), **result})
    for entry, adjusted in zip(found, holm([entry["p"] for entry in found]), strict=True):
        entry["p_holm"] = float(adjusted)
    return found


def difference(first: pd.Series[float], second: pd.Series[float], level: float) -> Record | None:
    """First minus second gain: paired where both answered the same questions, else by Welch.

    Paired on the shared questions if they are at least half of the smaller set. Fewer shared ones are
    treated as independent, which widens the interval. None below two questions.
    """
    first, second = first.dropna(), second.dropna()
    shared = first.index.intersection(second.index)
    if min(len(first), len(second)) < 2:
        return None
    paired = mostly(shared, first, second)
    if paired:
        first, second = first[shared], second[shared]
        found: PairedDifference = paired_difference(first.to_numpy(), second.to_numpy(), level)
        interval, p_value = found.difference, found.p_value
    else:
        interval, p_value = welch_difference(first.to_numpy(), second.to_numpy(), level)
    return {
        "first": float(first.mean()),
        "second": float(second.mean()),
        "difference": asdict(interval),
        "p": p_value,
        "paired": paired,
    }


def notes(one: Compared, other: Compared, common: int) -> list[str]:
    """What to know before the numbers of two runs are held against each other."""
    a, b = one.data.summary, other.data.summary
    found = [
        f"different {what}: {left} and {right}"
        for what, left, right in [
            ("models", a.model, b.model),
            ("benchmarks", a.benchmark, b.benchmark),
            ("rewards in the search", a.measure, b.measure),
        ]
        if left != right
    ]
    for key, what in SETTINGS.items():
        default = BanditConfig.model_fields[key].default
        left, right = (run.data.settings.get(key, default) for run in (one, other))
        if left != right:
            found.append(f"different {what}: {left} and {right}")
    sizes = (len(one.learned), len(other.learned))
    if not common:
        found.append("no persona in common: only the gains of their winners compare")
    elif sizes != (common, common):
        found.append(f"different rosters: {sizes[0]:,} and {sizes[1]:,} personas, {common:,} in common")
    data = [run.data.provenance.get("data", {}).get("search") for run in (one, other)]
    if data[0] and data[0] == data[1]:
        found.append("both searched on the same questions: agreement of means is partly shared luck")
    return found
