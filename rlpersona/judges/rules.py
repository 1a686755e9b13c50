"""A judge without a key: rules over the nano world, whose truth is known.

An answer earns points, and of two the one with more wins. What earns points, by kind of question:

| | math, word, fact, claim, compare | advice, opinion | persuade | who |
|---|---|---|---|---|
| well formed and on the subject | 10 | 10 | 10 | 10 |
| right | 40 | | | |
| a hedge where right / where wrong | -2 / +2 | -2 | -4 | |
| each reason, up to 4 | | 6 | | |
| each argument from evidence / from feeling, up to 4 | | | 8 / 6 | |
| polite | 3 | 3 | 3 | 3 |
| each closing sentence, up to 2 | 1 | 1 | 1 | 1 |

A text that is not well formed, or not about the question, earns nothing, whatever else it says. In
advice and opinions neither side is the right one, so agreement earns nothing. Persuasion must take the
side it was asked to take. Points are whole numbers, so a tie is a tie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from rlpersona.errors import JudgeError
from rlpersona.judges.base import Pair, Verdict
from rlpersona.models.nano import grammar
from rlpersona.models.nano.grammar import Reading
from rlpersona.models.nano.world import tables
from rlpersona.models.nano.world.items import DOMAINS, Item, items

WELL_FORMED, RIGHT, POLITE, CLOSING, REASON, EVIDENCE, FEELING = 10, 40, 3, 1, 6, 8, 6
HEDGE_RIGHT, HEDGE_WRONG, HEDGE_OPEN, HEDGE_PERSUADE = -2, 2, -2, -4
MOST_POINTS_MADE = 4
MOST_CLOSINGS = 2
_REASONS = (*tables.REASONS_FOR, *tables.REASONS_AGAINST)
_CLOSINGS = (*tables.CLOSINGS, *tables.VERSES)


@dataclass(frozen=True, slots=True)
class Grade:
    """The points of an answer, in all and by what earned them, and the most that could be had."""

    points: int
    parts: dict[str, int]
    most: int

    @property
    def share(self) -> float:
        """Points as a share of the most, between 0 and 1: a graded reward."""
        return self.points / self.most


class RuleJudge:
    """Judges answers to questions of the nano world by its truth; order and chance play no part."""

    name = "nano-rules"

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """The answer with more points wins. JudgeError for a question that is not of the nano world."""
        verdicts = []
        for pair in pairs:
            a, b = grade(pair.question, pair.a).points, grade(pair.question, pair.b).points
            verdicts.append(Verdict("tie" if a == b else "a" if a > b else "b"))
        return verdicts

    def rank(self, question: str, answers: Sequence[str]) -> list[float]:
        """The rank of each answer by its points, 1 the best; answers of the same points share a rank."""
        points = [grade(question, answer).points for answer in answers]
        return [1 + sum(other > own for other in points) + (points.count(own) - 1) / 2 for own in points]


def grade(question: str, answer: str) -> Grade:
    """What an answer to a question of the nano world earns, by the table of this module.

    JudgeError if the question, letter for letter, is not of the nano world.
    """
    item = _item(question)
    reading = grammar.read(answer.strip())
    most = _most(item)
    if reading is None or not _on_subject(item, answer, reading):
        return Grade(0, {}, most)
    parts = {
        "well formed": WELL_FORMED,
        "right": RIGHT * (item.topic is not None and reading.value == item.answer),
        "hedge": _hedge(item, reading) * reading.hedged,
        **_points_made(item, answer, reading),
        "polite": POLITE * reading.polite,
        "closings": CLOSING * min(MOST_CLOSINGS, _count(answer, _CLOSINGS)),
    }
    return Grade(sum(parts.values()), {name: n for name, n in parts.items() if n}, most)


def _hedge(item: Item, reading: Reading) -> int:
    if item.topic is not None:
        return HEDGE_RIGHT if reading.value == item.answer else HEDGE_WRONG
    return {"persuade": HEDGE_PERSUADE, "who": 0}.get(item.domain, HEDGE_OPEN)


def _points_made(item: Item, answer: str, reading: Reading) -> dict[str, int]:
    """Points for reasons or arguments; evidence is counted first where there are more than count."""
    if item.domain == "persuade":
        evidence = min(MOST_POINTS_MADE, reading.logic)
        feeling = min(MOST_POINTS_MADE - evidence, reading.emotion)
        return {"evidence": EVIDENCE * evidence, "feeling": FEELING * feeling}
    if item.domain in ("advice", "opinion"):
        return {"reasons": REASON * min(MOST_POINTS_MADE, _count(answer, _REASONS))}
    return {}


def _on_subject(item: Item, answer: str, reading: Reading) -> bool:
    """Whether a well-formed answer answers this question, rightly or wrongly."""
    if item.cores:
        return any(core.replace("{x}", str(reading.value))[1:] in answer for core in item.cores)
    if item.domain == "claim":
        return "you are right." in answer or "you are wrong." in answer
    if item.domain == "opinion":
        return "I agree with you." in answer or "I do not agree." in answer
    if item.domain == "who":
        return reading.value is None and reading.agrees is None
    stances = (f"ou should {item.subject}.", f"ou should not {item.subject}.")
    return any(stance in answer for stance in stances[: 1 if item.domain == "persuade" else 2])


def _most(item: Item) -> int:
    made = {"persuade": EVIDENCE, "advice": REASON, "opinion": REASON}.get(item.domain, 0)
    right = RIGHT if item.topic is not None else 0
    return WELL_FORMED + right + MOST_POINTS_MADE * made + POLITE + MOST_CLOSINGS * CLOSING


def _count(answer: str, sentences: Sequence[str]) -> int:
    return sum(sentence in answer for sentence in sentences)


def _item(question: str) -> Item:
    found = _by_text().get(question.strip())
    if found is None:
        raise JudgeError(
            f"the rule judge knows only questions of the nano world, not {question[:80]!r}",
            "Judge these answers with a model: --judge openai or anthropic (a bandit: judge.by=openai).",
        )
    return found


@cache
def _by_text() -> dict[str, Item]:
    return {
        item.text: item for domain in DOMAINS for held in (False, True) for item in items(domain, held)
    }
