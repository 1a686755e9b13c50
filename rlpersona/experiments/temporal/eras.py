"""Era x content: what the answers of all personas to all questions say, and whether fame explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.stats import CrossedEffect, crossed_effect, unseen_share, wilson
from rlpersona.types import Persona

Floats = npt.NDArray[np.float64]
Record = dict[str, Any]
ERAS, KINDS = ("earlier", "modern"), ("timeless", "modern")
# (contrast of the eras, contrast of the kinds), both in the order above.
CONTRASTS = {
    "interaction": ([-1.0, 1.0], [-1.0, 1.0]),
    "era": ([-1.0, 1.0], [0.5, 0.5]),
    "era_modern": ([-1.0, 1.0], [0.0, 1.0]),
    "era_timeless": ([-1.0, 1.0], [1.0, 0.0]),
    "content": ([0.5, 0.5], [-1.0, 1.0]),
}


@dataclass(frozen=True)
class Grid:
    """All answers. `correct` and `answered` (personas, questions) are nan where nothing was scored, and
    an abstention is not answered and not correct; `era` and `kind` are 0 or 1, in the order of `ERAS`
    and `KINDS`; `fame` is nan where it is not known; `fields` are the personas' fields."""

    correct: Floats
    answered: Floats
    era: npt.NDArray[np.intp]
    kind: npt.NDArray[np.intp]
    fame: Floats
    fields: Sequence[str | None]

    @property
    def personas(self) -> Floats:
        """One-hot eras (personas, 2)."""
        return np.eye(2)[self.era]

    @property
    def questions(self) -> Floats:
        """One-hot kinds (questions, 2)."""
        return np.eye(2)[self.kind]


def analyse_eras(grid: Grid, level: float, caliper: float) -> Record:
    """What `summary.json` says of era and content; `stats.crossed_effect` is the model behind it all.

    The primary claim is the interaction on the share of right answers (an abstention is no right
    answer). Where anybody abstained, `answer_rate` and `conditional`, accuracy among the answers given,
    tell knowing less from saying less. `fame` repeats the effects at equal fame (a covariate), `pairs`
    within pairs of one field and like fame; both are None where fame is not known or says nothing.
    """
    effects = {"accuracy": contrasts(grid, grid.correct, level)}
    if np.nanmin(grid.answered, initial=1.0) < 1:
        effects["answer_rate"] = contrasts(grid, grid.answered, level)
        effects["conditional"] = contrasts(grid, conditional(grid), level)
    found: Record = {
        "unscored_share": float(np.isnan(grid.correct).mean()),
        "abstained_share": float(1 - np.nanmean(grid.answered)) if answers(grid) else 0.0,
        "cells": cells(grid, level),
        "effects": effects,
        "fame": at_equal_fame(grid, level),
        "pairs": within_pairs(grid, level, caliper),
    }
    interaction = effects["accuracy"]["interaction"]
    found["significant"] = bool(interaction and interaction["p"] < 1 - level)
    return {**found, "verdict": verdict(grid, found, 1 - level)}


def answers(grid: Grid) -> int:
    """How many answers were scored."""
    return int((~np.isnan(grid.answered)).sum())


def contrasts(grid: Grid, table: Floats, level: float) -> dict[str, Record | None]:
    """Every contrast of an outcome."""
    return {
        name: effect(table, grid.personas, grid.questions, *both, level)
        for name, both in CONTRASTS.items()
    }


def cells(grid: Grid, level: float) -> list[Record]:
    """Accuracy, answer rate and accuracy among answers, for each era and kind of question."""
    outcomes = {"accuracy": grid.correct, "answer_rate": grid.answered, "conditional": conditional(grid)}
    records = []
    for i, era in enumerate(ERAS):
        for j, kind in enumerate(KINDS):
            both = np.eye(2)[i], np.eye(2)[j]
            record: Record = {"era": era, "kind": kind}
            record |= {"personas": int((grid.era == i).sum()), "questions": int((grid.kind == j).sum())}
            for name, table in outcomes.items():
                record[name] = bounded(effect(table, grid.personas, grid.questions, *both, level))
            records.append(record)
    return records


def bounded(share: Record | None) -> Record | None:
    """A share, whose interval cannot leave [0, 1]; where all answers are alike, Wilson's by personas."""
    if share is None:
        return None
    if min(abs(share["estimate"]), abs(1 - share["estimate"])) < 1e-9:
        both = wilson(round(share["estimate"] * share["personas"]), share["personas"], share["level"])
        return share | {"low": both.low, "high": both.high}
    return share | {"low": max(0.0, share["low"]), "high": min(1.0, share["high"])}


def conditional(grid: Grid) -> Floats:
    """A table whose cell means are the shares of right among given answers, with their spread.

    A ratio R = mean(y) / mean(a) has to first order the spread of R + (y - R a) / mean(a) (Taylor
    linearisation: Cochran, Sampling Techniques, 1977, ch. 6), which unlike y / a is there for everyone.
    All nan in a cell (era, kind) where nothing was answered.
    """
    table = np.full(grid.correct.shape, np.nan)
    for i in range(2):
        for j in range(2):
            place = np.ix_(grid.era == i, grid.kind == j)
            y, a = grid.correct[place], grid.answered[place]
            given = np.nanmean(a) if (~np.isnan(a)).any() else 0.0
            if given > 0:
                ratio = np.nanmean(y) / given
                table[place] = ratio + (y - ratio * a) / given
    return table


def at_equal_fame(grid: Grid, level: float) -> Record | None:
    """Interaction and era with fame (standardised) as a covariate of the personas, for both kinds."""
    fame = grid.fame
    if np.isnan(fame).any() or not np.ptp(fame):
        return None
    design = np.column_stack([grid.personas, (fame - fame.mean()) / fame.std()])
    found: Record = {"difference": float(fame[grid.era == 1].mean() - fame[grid.era == 0].mean())}
    for name in ("interaction", "era"):
        eras, kinds = CONTRASTS[name]
        found[name] = effect(grid.correct, design, grid.questions, [*eras, 0.0], kinds, level)
    return found


def within_pairs(grid: Grid, level: float, caliper: float) -> Record | None:
    """Interaction and era within matched pairs: a dummy for each pair; None below two pairs."""
    pairs = matched(grid, caliper)
    if len(pairs) < 2:
        return None
    rows = np.array(pairs).ravel()
    dummies = np.repeat(np.eye(len(pairs)), 2, axis=0)
    design = np.column_stack([dummies, np.tile([0.0, 1.0], len(pairs))])
    gaps = np.array([grid.fame[new] - grid.fame[old] for old, new in pairs])
    found: Record = {"pairs": len(pairs), "difference": float(gaps.mean())}
    for name in ("interaction", "era"):
        eras = [0.0] * len(pairs) + [1.0]
        kinds = CONTRASTS[name][1]
        found[name] = effect(grid.correct[rows], design, grid.questions, eras, kinds, level)
    return found


def matched(grid: Grid, caliper: float) -> list[tuple[int, int]]:
    """Pairs (earlier, modern) of one field whose fames differ by at most `caliper` deviations.

    As many as can be, with the least difference in all (optimal matching: Rosenbaum 1989).
    """
    from scipy.optimize import linear_sum_assignment

    fame = grid.fame
    if np.isnan(fame).any() or not np.ptp(fame):
        return []
    widest, pairs = caliper * float(fame.std(ddof=1)), []
    for field in sorted({str(name) for name in grid.fields}):
        here = np.array([str(name) == field for name in grid.fields])
        old, new = np.flatnonzero(here & (grid.era == 0)), np.flatnonzero(here & (grid.era == 1))
        gaps = np.abs(fame[old][:, None] - fame[new])
        # A pair too far apart costs more than all others together, so that the fewest are too far.
        cost = np.where(gaps <= widest, gaps, (1 + len(fame)) * max(widest, 1e-12))
        for i, j in zip(*linear_sum_assignment(cost), strict=True):
            if gaps[i, j] <= widest:
                pairs.append((int(old[i]), int(new[j])))
    return pairs


def effect(
    table: Floats,
    personas: Floats,
    questions: Floats,
    of_personas: npt.ArrayLike,
    of_questions: npt.ArrayLike,
    level: float,
) -> Record | None:
    """An effect as plain data; None where the answers do not allow one.

    A kind of questions whose answers have no spread leaves what may not have come up: see `Silent`.
    """
    try:
        found: CrossedEffect = crossed_effect(
            table, personas, questions, of_personas, of_questions, level
        )
    except DataError:
        return None
    silent = silences(found, table, personas, questions, of_personas, of_questions)
    if silent:
        found = widened(found, silent)
    return {
        "estimate": found.estimate,
        "low": found.low,
        "high": found.high,
        "level": found.level,
        "p": found.p_value,
        "df": found.df if np.isfinite(found.df) else None,
        "personas": found.personas,
        "questions": found.questions,
    }


@dataclass(frozen=True)
class Silent:
    """A part of an effect without any spread, over `units` personas or questions, the fewer of the two.

    A share q of the units that is otherwise, but did not come up (`stats.unseen_share`), could lower
    the effect by q times `below` and raise it by q times `above`, as answers lie in [0, 1].
    """

    units: int
    below: float
    above: float


def silences(
    found: CrossedEffect,
    table: Floats,
    personas: Floats,
    questions: Floats,
    of_personas: npt.ArrayLike,
    of_questions: npt.ArrayLike,
) -> list[Silent]:
    """The kinds of questions (one-hot in `questions`) whose answers show no spread of the effect.

    If each shows one and their difference none, that difference is a single silent part.
    """
    rows = np.linalg.pinv(personas).T @ np.asarray(of_personas, dtype=np.float64)
    least, most = rows[rows < 0].sum(), rows[rows > 0].sum()
    weights = np.asarray(of_questions, dtype=np.float64)
    low, high = np.minimum(weights * least, weights * most), np.maximum(weights * least, weights * most)
    parts = []
    for kind in np.flatnonzero(weights):
        here = questions[:, kind] > 0
        try:
            side = crossed_effect(
                table[:, here], personas, np.ones((here.sum(), 1)), of_personas, [1.0], found.level
            )
        except DataError:  # too many of its answers are missing to tell
            continue
        if side.low == side.high:
            mean, units = weights[kind] * side.estimate, min(side.personas, side.questions)
            parts.append(Silent(units, *room(mean, low[kind], high[kind])))
    if not parts and found.low == found.high:
        units, mean = min(found.personas, found.questions), found.estimate
        parts.append(Silent(units, *room(mean, low.sum(), high.sum())))
    return parts


def room(mean: float, least: float, most: float) -> tuple[float, float]:
    """How far a mean lies above the least and below the most that it can be."""
    return max(0.0, float(mean - least)), max(0.0, float(most - mean))


def widened(found: CrossedEffect, silent: Sequence[Silent]) -> CrossedEffect:
    """The effect with what its silent parts may hide added to either end of its interval.

    The p-value is 1 less the level at which the interval comes to end at zero.
    """
    from scipy import optimize, special

    error = found.error if found.low < found.high else 0.0

    def reach(level: float, way: str) -> float:
        seen = error * float(special.stdtrit(found.df, 0.5 + level / 2)) if error else 0.0
        return float(seen + sum(unseen_share(s.units, level) * getattr(s, way) for s in silent))

    towards, away = ("below" if found.estimate > 0 else "above"), abs(found.estimate)
    edge = 1e-12
    if reach(edge, towards) >= away:
        p_value = 1.0
    elif reach(1 - edge, towards) <= away:
        p_value = edge
    else:
        p_value = 1 - optimize.brentq(lambda level: reach(level, towards) - away, edge, 1 - edge)
    low = found.estimate - reach(found.level, "below")
    high = found.estimate + reach(found.level, "above")
    return replace(found, low=low, high=high, p_value=p_value)


def grid_fields(personas: Sequence[Persona]) -> tuple[Floats, list[str | None]]:
    """Fame (nan where unknown) and fields of the personas."""
    fame = [np.nan if persona.fame is None else persona.fame for persona in personas]
    return np.array(fame, dtype=np.float64), [persona.field for persona in personas]


def verdict(grid: Grid, found: Record, alpha: float) -> str:
    """The result in a sentence or two."""
    interaction = found["effects"]["accuracy"]["interaction"]
    if interaction is None:
        return "Nothing could be measured: too few answers were scored."
    rests = f"{interaction['personas']} personas and {interaction['questions']} questions"
    if not found["significant"]:
        alone = found["effects"]["accuracy"]["era"]
        return (
            f"No era x content interaction is shown: {points(interaction)} over {rests}; era alone: "
            f"{points(alone)}."
        )
    more = "gain" if interaction["estimate"] > 0 else "lose"
    said = (
        f"People of modern eras {more} on modern questions, compared with timeless ones: "
        f"{points(interaction)} over {rests}."
    )
    for name, words in (("fame", "At equal fame"), ("pairs", "Within pairs of like fame")):
        held = found[name] and found[name]["interaction"]
        if held:
            shown = held["p"] < alpha and held["estimate"] * interaction["estimate"] > 0
            said += f" {words}: {points(held)}{'' if shown else ', where it is not shown'}."
    return said


def points(effect: Record) -> str:
    """`+12.5 points [+8.1, +16.9]`."""
    low, high = 100 * effect["low"], 100 * effect["high"]
    return f"{100 * effect['estimate']:+.1f} points [{low:+.1f}, {high:+.1f}]"
