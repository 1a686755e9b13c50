"""A text as words and sentences, in the plain way that all measures share."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_BREAK = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|\s*\n+\s*")
_ABBREVIATED = re.compile(r"(?:\b(?:[A-Za-z]|Dr|Mr|Mrs|Ms|Prof|St|vs|etc|e\.g|i\.e)|\A\d+)\.\Z")
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"'})


def straight(text: str) -> str:
    """The text with straight quotation marks and apostrophes."""
    return text.translate(_STRAIGHT)


def words(text: str) -> list[str]:
    """The words in small letters, numbers included: `"Don't go!"` is `["don't", "go"]`."""
    return [word.lower() for word in _WORD.findall(straight(text))]


@lru_cache(maxsize=512)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences that hold a word: split after `.`, `!` or `?` and a blank, and at line ends.

    A dot after an initial, a title or a list's number ends no sentence.
    """
    whole: list[str] = []
    for part in _BREAK.split(straight(text)):
        if whole and _ABBREVIATED.search(whole[-1]):
            whole[-1] += f" {part}"
        elif part:
            whole.append(part)
    return tuple(sentence for sentence in whole if _WORD.search(sentence))
