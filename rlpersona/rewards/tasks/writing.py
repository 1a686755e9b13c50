"""Advice, opinion, creative writing: is it an answer at all? Checks that length does not help pass."""

from __future__ import annotations

import re
from collections import Counter

from rlpersona.behaviour.diversity import repetition
from rlpersona.behaviour.text import sentences, words
from rlpersona.rewards.answer import Answer
from rlpersona.types import Score

FEWEST_WORDS = 5
MOST_REPEATED = 0.2
_GRAM = 4
_WINDOW = 60
_LETTERS = re.compile(r"[^\W\d_]")
_BARE_WORDS = """
a about after all also am an and any are as at be because been but by can could did do does for
from get give good had has have help how i if in into is it its just know like make many may me
more most my need not of on one or our out please should so some tell than that the their them
then there these they think this to up use very want was we were what when where which who why
will with would write you your
"""
_BARE = frozenset(_BARE_WORDS.split())


def score(answer: Answer) -> Score:
    """The share of four checks that an answer passes: 0, 1/4, ... 1. An empty text passes none.

    Well formed: mostly letters and blanks, and ends a sentence (or the cap cut it). On
    the subject: among the first 60 words, one of the question's content words, compared by their first
    five letters. Says something: at least five different words. No loops: at most a fifth of its
    four-word sequences is a repeat, and no sentence comes twice. All are thresholds: more text earns no
    more.
    """
    checks = quality(answer)
    return Score(sum(checks.values()) / len(checks))


def quality(answer: Answer) -> dict[str, bool]:
    """The checks by name, see `score`."""
    text = answer.text.strip()
    said = words(text)
    return {
        "well formed": bool(said) and _well_formed(text, answer.finished),
        "on subject": bool(said) and on_subject(answer.question.text, said),
        "says something": len(set(said)) >= FEWEST_WORDS,
        "no loops": bool(said) and repetition(text) <= MOST_REPEATED and not _said_twice(text),
    }


def on_subject(question: str, said: list[str]) -> bool:
    """Whether a text's first words share a content word with the question (if it has any)."""
    stems = {_stem(word) for word in words(question) if word not in _BARE and not word.isdigit()}
    return not stems or any(_stem(word) in stems for word in said[:_WINDOW])


def _stem(word: str) -> str:
    return word.removesuffix("'s")[:5].rstrip("s")


def _well_formed(text: str, finished: bool) -> bool:
    letters = sum(1 for sign in text if _LETTERS.match(sign) or sign.isspace())
    ended = text.rstrip("\"'*_)]}` \n")[-1:] in set(".!?:…。！？") or not finished
    return letters / len(text) >= 0.7 and ended


def _said_twice(text: str) -> bool:
    longer = [" ".join(said) for said in map(words, sentences(text)) if len(said) > _GRAM]
    return any(count > 1 for count in Counter(longer).values())
