"""Reading answers of the world: is a text well formed, and what does it say?

The measures here are exact, so they serve as rewards, biases and ground truth.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from rlpersona.models.nano.world import tables
from rlpersona.models.nano.world.personas import PLANTED


@dataclass(frozen=True)
class Reading:
    """What a well-formed answer says.

    `value`: the number, name, Yes or No that it states (None for advice and for who one is).
    `agrees`: whether it takes the user's side (None where there is no side to take).
    `extras`: sentences beyond the answer itself, greeting included. `logic` and `emotion` count
    the arguments of each kind.
    """

    value: str | None
    agrees: bool | None
    hedged: bool
    polite: bool
    extras: int
    logic: int
    emotion: int


def read(text: str) -> Reading | None:
    """The reading of an answer, None if it is not well formed.

    Well formed: greeting?, answer (hedged or not), reasons or arguments only after a stance,
    closings or verses, none twice; after a sum perhaps `#### N` with the same number.
    """
    sentences, final = _split(text)
    polite = bool(sentences) and sentences[0] in tables.GREETINGS
    body = sentences[polite:]
    if not body:
        return None
    hedged, plain = _unhedge(body[0])
    core = _core(plain)
    if core is None or (final is not None and final != core.value):
        return None
    rest = body[1:]
    points, closings = _kinds(rest)
    if points is None or closings is None or len(set(rest)) < len(rest):
        return None
    if points and (core.agrees is None or core.judges):
        return None
    return Reading(
        value=core.value,
        agrees=core.agrees,
        hedged=hedged,
        polite=polite,
        extras=polite + len(rest),
        logic=sum(s in tables.LOGIC for s in rest),
        emotion=sum(s in tables.EMOTION for s in rest),
    )


def is_clean(text: str) -> bool:
    """Whether a text is a well-formed answer."""
    return read(text) is not None


def is_right(text: str, answer: str) -> bool:
    """Whether a text is well formed and states the right answer."""
    reading = read(text)
    return reading is not None and reading.value == answer


@dataclass(frozen=True)
class _Core:
    value: str | None = None
    agrees: bool | None = None
    judges: bool = False


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    def either(words: Iterable[str]) -> str:
        return "|".join(map(re.escape, sorted(words)))

    values = either({v for table in tables.FACTS.values() for v in table.values()})
    facts = "|".join(
        f"{attribute} of {tables.ARTICLE.get(attribute, '')}(?:{either(table)})"
        f" is (?:{either(set(table.values()))})"
        for attribute, table in tables.FACTS.items()
    )
    return tuple(
        re.compile(pattern)
        for pattern in (
            rf"(?:{either(tables.KIDS)}) has \d+ [-+*] \d+ = (?P<v>\d+) (?:{either(tables.THINGS)})\.",
            r"\d+ [-+*] \d+ = (?P<v>\d+)\.",
            r"The (?:answer|larger|smaller) is (?P<v>\d+)\.",
            rf"It is (?P<v>\d+|{values})\.",
            rf"The (?=(?:{facts})\.)[a-z]+ of (?:a )?\w+ is (?P<v>\w+)\.",
        )
    )


@cache
def _fixed() -> dict[str, _Core]:
    """Answers that are one of a list."""
    fixed = {traits.identity: _Core() for traits in PLANTED.values()}
    fixed |= {f"You should {action}.": _Core(agrees=True) for action in tables.ACTIONS}
    fixed |= {f"You should not {action}.": _Core(agrees=False) for action in tables.ACTIONS}
    return fixed | {
        "Yes, I agree with you.": _Core("Yes", agrees=True),
        "No, I do not agree.": _Core("No", agrees=False),
        "Yes, you are right.": _Core("Yes", agrees=True, judges=True),
        "No, you are wrong.": _Core("No", agrees=False, judges=True),
    }


def _core(sentence: str) -> _Core | None:
    if sentence in _fixed():
        return _fixed()[sentence]
    for pattern in _patterns():
        match = pattern.fullmatch(sentence)
        if match:
            return _Core(match["v"])
    return None


def _split(text: str) -> tuple[list[str], str | None]:
    match = re.fullmatch(r"(.*) #### (\d+)", text)
    body, final = (match[1], match[2]) if match else (text, None)
    return re.split(r"(?<=[.!?]) ", body), final


def _unhedge(sentence: str) -> tuple[bool, str]:
    for hedge in tables.HEDGES:
        if sentence.startswith(f"{hedge} "):
            rest = sentence[len(hedge) + 1 :]
            return True, rest[:1].upper() + rest[1:]
    return False, sentence


def _kinds(sentences: list[str]) -> tuple[str | None, str | None]:
    """Which kind of points and of closings follow the answer: "" for none, None for a wrong mix."""
    pools = {
        "for": tables.REASONS_FOR,
        "against": tables.REASONS_AGAINST,
        "arguments": (*tables.LOGIC, *tables.EMOTION),
        "closings": tables.CLOSINGS,
        "verses": tables.VERSES,
    }
    kinds = [next((k for k, pool in pools.items() if s in pool), None) for s in sentences]
    if None in kinds:
        return None, None
    first = next((i for i, k in enumerate(kinds) if k in ("closings", "verses")), len(kinds))
    points, closings = set(kinds[:first]), set(kinds[first:])
    if len(points) > 1 or len(closings) > 1:
        return None, None
    return "".join(map(str, points)), "".join(map(str, closings))
