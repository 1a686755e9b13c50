"""Judges' replies read strictly: JSON if there is any, else plain words; what is unclear is None.

A guess would be a coin flip in the data, so a reply that names two winners, a number out of range or
half a ranking is no reply. `tests/unit/judges/gold_replies.py` is the table of what is read how.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from rlpersona.judges import words

Choice = Literal["A", "B", "tie"]

_CHOICE_KEYS = ("winner", "verdict", "answer", "choice", "better", "best", "preferred", "preference")
_SCORE_KEYS = ("score", "rating", "grade", "value")
_RANKING_KEYS = ("ranking", "order", "rank")
_BROKEN = re.compile(r"\{\s*[\"'“‘]\w+[\"'”’]\s*:")
_MOST_OBJECTS = 20
_NAMES = r"(?:answer|response|option|choice|assistant|candidate)"


def read_choice(text: str) -> Choice | None:
    """Which of two answers a reply names, or that they tie; None where it is not clear.

    JSON decides if the reply holds an object with a known key (`winner`, `verdict`, ...). Else the first
    kind of evidence that is there decides, and must name one only: a stated verdict ("Winner: B",
    "[[A]]", where "[[C]]" is a tie), a line of its own ("B", "Answer (a)."), a sentence of preference
    ("I'd go with B, not A", "A is better than B"). A sentence that denies, asks or supposes is none.
    """
    text = _spoken(text)
    found = _field(text, _CHOICE_KEYS)
    return words.choice(text) if found is None else _choice(found[0])


def read_score(text: str, levels: Sequence[int]) -> int | None:
    """The one whole number of `levels` that a reply gives, None where it is not clear.

    Read: JSON with a known key (`score`, `rating`, ...), "Score: 3", "3/5" where 5 is the highest level,
    a line that is the number alone. Not read: other numbers in prose, ranges, halves, out of range.
    """
    text = _spoken(text)
    found = _field(text, _SCORE_KEYS)
    score = words.score(text, max(levels)) if found is None else _whole(found[0])
    return score if score in levels else None


def read_ranking(text: str, letters: str) -> tuple[str, ...] | None:
    """The order, best first, in which a reply puts `letters` (`"ABC"`): all of them once, else None.

    Read: JSON with a known key (`ranking`, ...) or a bare list, "B > A > C", "B, A, C", "BAC" and a
    numbered list with a letter on each line.
    """
    text = _spoken(text)
    found = _field(text, _RANKING_KEYS)
    ranking: Sequence[str | None] | None = None
    if found is None:
        ranking = words.ranking(text, letters)
    elif isinstance(found[0], str):
        ranking = words.ranking(found[0], letters)
    elif isinstance(found[0], list):
        ranking = [_letter(item) for item in found[0]]
    order = tuple(letter for letter in ranking or () if letter is not None)
    return order if sorted(order) == sorted(letters) else None


def read_aspects(text: str, aspects: Sequence[str], levels: Sequence[int]) -> dict[str, int] | None:
    """A whole number of `levels` for each aspect, None unless all are there and clear.

    Read: JSON with the aspects as keys, or a line "aspect: 4" for each.
    """
    text = _spoken(text)
    objects = [value for value in _values(text) if isinstance(value, dict)]
    if not objects and _BROKEN.search(text):
        return None
    if objects:
        found = [{_plain(key): value for key, value in item.items()} for item in objects]
        scores = [[_whole(item.get(_plain(aspect))) for aspect in aspects] for item in found]
        if any(other != scores[0] for other in scores):
            return None
        given = scores[0]
    else:
        given = [words.labelled(text, aspect.replace("_", " "), max(levels)) for aspect in aspects]
    read = {
        a: score
        for a, score in zip(aspects, given, strict=True)
        if score in levels and score is not None
    }
    return read if len(read) == len(aspects) else None


def _spoken(text: str) -> str:
    """The reply after the thoughts of a reasoning model; nothing if it never ceased to think."""
    if text.lstrip().startswith("{"):
        return text
    said = text.rpartition("</think>")[2]
    return "" if "<think>" in said else said


def _field(text: str, keys: Sequence[str]) -> list[Any] | None:
    """[the value under the first known key]; None if there is no such JSON.

    [None] if two objects differ, or if an object is begun that cannot be read: its words are no prose.
    """
    found = []
    for value in _values(text):
        if isinstance(value, list) and keys is _RANKING_KEYS:
            found.append(value)
        if isinstance(value, dict):
            plain = {_plain(key): item for key, item in value.items()}
            found += [plain[key] for key in keys if key in plain][:1]
    if not found:
        return [None] if _BROKEN.search(text) else None
    return [found[0]] if all(item == found[0] for item in found) else [None]


def _values(text: str) -> list[Any]:
    """Every JSON object or list of a text, outermost, with trailing commas and smart quotes forgiven.

    A list counts only if the whole text, or the whole of a code fence, is one: prose has brackets.
    """
    text = text.translate({0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'", 0xFEFF: None})
    fenced = re.findall(r"```\w*\s*\n?(.*?)```", text, re.DOTALL)
    for whole in (text, *fenced):
        value = _decoded(whole.strip())
        if isinstance(value, dict | list):
            return [value]
    values: list[Any] = []
    start = text.find("{")
    for _ in range(_MOST_OBJECTS):
        if start < 0:
            break
        end = _closing(text, start)
        value = _decoded(text[start:end]) if end else None
        if isinstance(value, dict):
            values.append(value)
        elif _BROKEN.match(text, start) and not end:
            return []  # cut off: what stands inside is a part of it, no object of its own
        skip = isinstance(value, dict) or _BROKEN.match(text, start)
        start = text.find("{", end if skip and end else start + 1)
    return values


def _decoded(text: str) -> Any:
    """The value of a JSON text, trailing commas forgiven; None if it is none or names a key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key stands twice")
        return dict(pairs)

    for attempt in (text, re.sub(r",(\s*[}\]])", r"\1", text)):
        try:
            return json.loads(attempt, object_pairs_hook=once, strict=False)
        except (ValueError, RecursionError):
            continue
    return None


def _closing(text: str, start: int) -> int | None:
    """Where the object that opens at `start` ends, strings respected; None if it never does."""
    depth = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}]', text[start:], re.DOTALL):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return start + match.end()
    return None


def _choice(value: Any) -> Choice | None:
    """`"A"`, `"answer b"`, `"Tie"`: the whole value must be one of these."""
    if not isinstance(value, str):
        return None
    said = re.sub(r"[\s_]+", " ", value).strip(" .()[]*\"'").casefold()
    if said in {"tie", "equal", "both", "neither", "draw", "c", "none", "same"}:
        return "tie" if said not in {"c", "none"} else None
    match = re.fullmatch(rf"(?:the )?(?:{_NAMES} ?)?\(?([ab])\)?", said)
    return None if match is None else ("A" if match[1] == "a" else "B")


def _letter(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    match = re.fullmatch(rf"(?i:{_NAMES}[ _])?\(?([A-Za-z])\)?", value.strip())
    return match[1].upper() if match else None


def _whole(value: Any) -> int | None:
    """3, 3.0 and "3" as 3; booleans, halves and words are None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,2}\s*", value, re.ASCII):
        return int(value)
    return value if isinstance(value, int) else None


def _plain(key: str) -> str:
    return re.sub(r"[\s_-]+", "_", key.strip().casefold())
