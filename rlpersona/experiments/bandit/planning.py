"""The budget planner: what a search can find, and what its fresh questions can confirm.

A model of the search: true accuracies vary between personas by an *assumed* spread, and evaluations are
independent coin flips. Rounds whose personas share their questions do better than that, since the
questions' difficulty cancels: the expected gains are cautious.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from rlpersona.bandits.halving import bracket
from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.bandit.gains import (
    MOST_COUNTS,
    even_gain,
    expected_maximum,
    features_gain,
    halving_gain,
    policy_ratio,
)
from rlpersona.report.plan import Plan, assumed_share
from rlpersona.report.words import several
from rlpersona.stats import detectable_gain, null_maximum, null_maximum_quantile
from rlpersona.types import Persona


def plan_for(
    config: BanditConfig,
    personas: int,
    questions_search: int,
    questions_fresh: int,
    *,
    spread: float = 0.02,
    p: float = 0.6,
    explained: float = 0.0,
    known: bool = True,
) -> Plan:
    """The plan of a configured run over so many personas and questions; see `plan`."""
    by_sgd = config.algorithm == "reinforce" and config.params.get("optimizer") == "sgd"
    lr = config.params.get("lr", 0.1) if by_sgd else None
    return plan(
        personas,
        config.budget,
        questions_fresh,
        min(config.validation.winners, personas),
        spread,
        p=p,
        arms_per_round=config.arms_per_round,
        questions_per_round=min(config.questions_per_round, questions_search),
        questions=questions_search,
        lr=None if lr is None else float(lr),
        level=config.validation.level,
        explained=explained,
        known=known,
    )


def anything_known(personas: Iterable[Persona]) -> bool:
    """Whether anything is known of a persona by which one tells of others."""
    return any(
        persona.field or persona.era or persona.birth_year is not None or persona.fame is not None
        for persona in personas
    )


def plan(
    arms: int,
    evaluations: int,
    questions_fresh: int,
    winners: int,
    spread: float = 0.02,
    *,
    p: float = 0.6,
    arms_per_round: int = 16,
    questions_per_round: int = 8,
    questions: int | None = None,
    lr: float | None = 0.1,
    level: float = 0.95,
    explained: float = 0.0,
    known: bool = True,
) -> Plan:
    """What to expect of `evaluations` question evaluations over `arms` personas.

    `spread` (standard deviation of the true accuracies around `p`) is an assumption that no data stands
    behind; 2 points is generous for names alone. `explained` is the share of that variance which
    features of the personas explain; at 0, what half of it would bring is told without advising it.
    `known` says whether the personas have any such features. `lr` is the step of a REINFORCE by SGD,
    None if the search is no such thing.
    `questions` is how many there are to search on: answers to more evaluations than that repeat.
    Raises ConfigError for numbers that describe no search.
    """
    _check(arms, evaluations, spread, p, explained)
    per_arm = evaluations / arms
    each = min(int(per_arm), questions or MOST_COUNTS, MOST_COUNTS)
    halving = halving_gain(arms, evaluations, spread, p, questions_per_round, questions)
    features = features_gain(
        arms, evaluations, spread, p, assumed_share(explained), questions_per_round, questions
    )
    even = even_gain(arms, evaluations, spread, p, questions)
    passes = evaluations // questions_per_round
    entrants = bracket(arms, passes) if passes > 1 else 0
    algorithm, reason = advise(arms, entrants, even, halving, features, explained, known)
    return Plan(
        arms=arms,
        evaluations=evaluations,
        questions_fresh=questions_fresh,
        winners=winners,
        p=p,
        spread=spread,
        level=level,
        explained=explained,
        per_arm=per_arm,
        null_maximum=null_maximum(arms, each, p) if each else None,
        null_line=null_maximum_quantile(arms, each, p, level) if each else None,
        gain_best=spread * expected_maximum(arms),
        gain_even=even,
        gain_halving=halving,
        gain_features=features,
        detectable=detectable_gain(questions_fresh, p, arms=winners, alpha=1 - level),
        policy_ratio=None
        if lr is None
        else policy_ratio(arms, evaluations, p, arms_per_round, questions_per_round, lr, spread),
        lr=lr,
        known=known,
        algorithm=algorithm,
        reason=reason,
    )


def advise(
    arms: int,
    entrants: int,
    even: float,
    halving: float,
    features: float,
    explained: float,
    known: bool = True,
) -> tuple[str, str]:
    """The algorithm to take, and why in a sentence; `entrants` is how many arms halving can compare."""
    if arms == 1:
        return "uniform", "One persona leaves nothing to choose."
    if known and explained and features > max(even, halving):
        return "hierarchical", (
            f"What it learns of one persona tells of those like it: {_points(features)} expected, "
            f"against {_points(halving)} by halving alone."
        )
    if halving <= even:
        return "uniform", "Even allocation finds as much as halving here, and ranks everyone."
    if entrants < arms:
        reason = (
            f"The budget does not reach everyone: it compares {several(entrants, 'persona')} drawn at "
            "random, thoroughly."
        )
        others = " The algorithm hierarchical would use what is known of the others." if known else ""
        return "halving", reason + others
    return "halving", (
        f"It takes evaluations from the hopeless for the hopeful: {_points(halving)} expected, "
        f"against {_points(even)} by even allocation."
    )


def _points(gain: float) -> str:
    rounded = round(100 * gain, 1)
    return f"{rounded:+.1f} points" if rounded else "0.0 points"


def _check(arms: int, evaluations: int, spread: float, p: float, explained: float) -> None:
    if arms < 1 or evaluations < 1:
        raise ConfigError(
            f"{arms} personas, {evaluations} evaluations: nothing to plan", "Give at least one of each."
        )
    if not 0 < p < 1 or not 0 <= explained < 1:
        raise ConfigError(
            f"p={p!r}, explained={explained!r}: no shares", "Give p in (0, 1) and explained in [0, 1)."
        )
    if not 0 < spread <= math.sqrt(p * (1 - p)) / 2:
        raise ConfigError(
            f"spread={spread!r} is no spread of accuracies around {p}",
            "Give the standard deviation of the true accuracies as a share, such as 0.02.",
        )
