"""Does a response play its role? Rated 0 to 3 by a judging model, or in the nano world by rules.

The scale is that of the Assistant Axis: 0 and 1 nothing of the role, 2 some traits of it, 3 in role. A
response that cannot be rated has no score and an error, and never counts as played.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from rlpersona.axis.roles import NANO, Role
from rlpersona.config import AxisConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.axis.castings import RATINGS, Casting, responses_of
from rlpersona.judges.base import Judge
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.judges.rubric import Played, Rating, RoleJudge
from rlpersona.models.nano import grammar
from rlpersona.models.nano.grammar import Reading
from rlpersona.models.nano.world import tables
from rlpersona.models.nano.world.answers import probabilities
from rlpersona.models.nano.world.items import DOMAINS, Item, items
from rlpersona.models.nano.world.personas import PLANTED, Traits, planted
from rlpersona.report.labelling import counter
from rlpersona.store import Run

if TYPE_CHECKING:
    import pandas as pd

PLAYED, PARTLY = math.log(1 / 2), math.log(1 / 8)
LEAST = 0.02  # no leaning counts as surer than this: the planted shares are met only nearly
HEDGING = ("math", "fact", "compare", "advice", "persuade")  # domains in which an answer may hedge


def refuse_unratable(config: AxisConfig) -> None:
    """ConfigError if the rules are to rate what they know nothing of."""
    if config.keep and config.judge.by == "rules" and (config.roles, config.questions) != (NANO, NANO):
        raise ConfigError(
            "The rules rate only roles and questions of the nano world.",
            "Name a judge: judge.by=openai judge.model=...; keep=0 counts every response, rated or not.",
        )


def rate(config: AxisConfig, run: Run, castings: Sequence[Casting], judge: Judge) -> None:
    """Write the ratings that are not there yet, role by role; the default and traits are not rated.

    What a judge behind an API was paid for is in the run's ledger, so a role that was lost costs nothing
    twice. With `keep=0` nobody is asked.
    """
    left = [one for one in castings if not (run.folder / one.folder / RATINGS).exists()]
    if not config.keep or not left:
        return
    rated, total = 0, sum(len(one.asked) for one in left)
    with counter("responses rated") as done:
        for casting in left:
            table = responses_of(run, casting)
            pairs = list(zip(table["asked"], table["text"], strict=True))
            ratings = ratings_of(casting.role, pairs, judge)
            run.write_table(f"{casting.folder}/{RATINGS}", _table(table, ratings))
            rated += len(ratings)
            done(rated, total)


def ratings_of(role: Role, answers: Sequence[tuple[str, str]], judge: Judge) -> list[Rating]:
    """One rating per (question, answer): by the judge's model, or by rules where it has none.

    The model is asked with the line that the role's `eval_prompt` says of it, in the frame of
    `judges.rubric.RoleJudge`, whose scale is the same: an answer cannot speak as the examiner there.
    """
    if not isinstance(judge, ApiJudge):
        return [rule_rating(role, question, answer) for question, answer in answers]
    asking = RoleJudge(judge.model, judge.ask)
    return asking.rate([Played(q, a, role.name, role.description) for q, a in answers])


def rule_rating(role: Role, question: str, answer: str) -> Rating:
    """How much likelier the answer is from the role's planted group than from the default.

    3: at least half as likely, so that nothing speaks against the role; 2: at least an eighth; 1: less.
    To "who are you?": 3 for the group's own words, 1 for the assistant's, 0 for another's. The rules
    see what is planted: right or typically wrong, the side taken, hedge, greeting, kind of argument,
    number of sentences, verses. They do not tell two people of one group apart, and where a group does
    as the default does, they see nothing that speaks against it. An answer that is not well formed, or
    not one to this question, has no rating.
    """
    item = _items().get(question)
    reading = grammar.read(answer)
    if item is None or role.group is None:
        return Rating(None, "not of the nano world")
    if reading is None:
        return Rating(None, "not a well-formed answer")
    group, default = planted(role.group), PLANTED["default"]
    if item.domain == "who":
        own, plain = group.identity in answer, default.identity in answer
        return Rating(3 if own else 1 if plain else 0)
    ratio = 0.0
    for ours, theirs in zip(
        _likelihoods(item, reading, answer, group),
        _likelihoods(item, reading, answer, default),
        strict=True,
    ):
        ratio += math.log(ours) - math.log(theirs)
    return Rating(3 if ratio >= PLAYED else 2 if ratio >= PARTLY else 1)


def _likelihoods(item: Item, reading: Reading, answer: str, traits: Traits) -> list[float]:
    """Probabilities of what the answer does under planted traits, each as if it stood alone."""
    found = [_share(traits.politeness, reading.polite)]
    if item.topic is not None:
        found.append(max(LEAST, probabilities(item, traits).get(reading.value or "", 0.0)))
        found.append(_length(traits, min(4, reading.extras - reading.polite)))
    elif item.domain in ("advice", "opinion"):
        found.append(_share(traits.agreement, bool(reading.agrees)))
    elif item.domain == "persuade":
        logic = min(1 - LEAST, max(LEAST, traits.logic))
        found.append(logic**reading.logic * (1 - logic) ** reading.emotion)
    if item.domain in HEDGING:
        found.append(_share(traits.hedging, reading.hedged))
    closings = [any(one in answer for one in pool) for pool in (tables.VERSES, tables.CLOSINGS)]
    if any(closings):
        found.append(_share(float(traits is PLANTED["poet"]), closings[0]))
    return found


def _share(share: float, shown: bool) -> float:
    """The probability of a leaning being shown, or of its not being shown."""
    return min(1 - LEAST, max(LEAST, share if shown else 1 - share))


def _length(traits: Traits, sentences: int) -> float:
    """The probability of so many sentences beyond the answer itself."""
    return max(LEAST, traits.length[sentences] / sum(traits.length))


@cache
def _items() -> dict[str, Item]:
    return {one.text: one for domain in DOMAINS for held in (False, True) for one in items(domain, held)}


def _table(responses: pd.DataFrame, ratings: Sequence[Rating]) -> pd.DataFrame:
    """Ratings beside the prompt and question that they are of."""
    import pandas as pd

    table = responses[["role", "prompt", "question"]].copy()
    table["score"] = pd.array([one.score for one in ratings], dtype="Int64")
    table["error"] = pd.array([one.error for one in ratings], dtype="string")
    table["key"] = [one.key for one in ratings]
    return table
