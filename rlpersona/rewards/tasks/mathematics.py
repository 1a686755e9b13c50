"""Math: is the final answer the right one?"""

from __future__ import annotations

import logging
import re
from functools import lru_cache

from rlpersona.rewards.answer import Answer
from rlpersona.tasks.prompts import gold_of
from rlpersona.tasks.scoring import score_text
from rlpersona.types import Completion, Score

_MARKED = re.compile(r"####[ \t]*(?P<hash>\S.*)|\b[Aa]nswer(?:[ \t]+is|[ \t]*:)[ \t]*(?P<said>\S.*)")
_LONGEST = 200
# What sympy would set out to compute, however long that takes: towers, large powers, factorials, sums.
_HUGE = re.compile(
    r"\^\s*\{?\s*[({]*\s*\d{3}|\d{16}|\^[^+\-*/=]*\^|\*\*|!|\\(?:d?t?binom|sum|prod|int|lim|bigcup)"
)


def score(answer: Answer) -> Score:
    """1 for the right final answer, else 0; an answer that names none is wrong.

    Gold that is a number: read and compared exactly (`tasks.answers.extract_number`: `####`, boxed,
    "answer is", the last number; a text that the cap cut counts by a marked answer alone). Other gold
    (`\\frac{\\sqrt{3}}{2}`, sets, intervals): compared by math-verify, the marked answer of the text
    alone.
    """
    question = answer.question
    if gold_of(question) == "number":
        return score_text(question, completion(answer), unparsed="wrong")
    gold = question.answer.strip()
    if not gold:
        return Score(None, error="the question has no gold answer")
    said = _stated(answer.text)
    if said is None:
        return Score(0.0, correct=False)
    correct = same_expression(gold, said)
    if correct is None:
        return Score(None, error=f"gold answer '{gold[:40]}' cannot be read as mathematics")
    return Score(float(correct), correct=correct, predicted=said)


@lru_cache(maxsize=4096)
def same_expression(gold: str, said: str) -> bool | None:
    """Whether math-verify holds two LaTeX expressions for equal; None if it cannot read the gold.

    What is long or asks for a large computation (`_HUGE`) is unreadable: math-verify's own timeout is a
    signal, which only a main thread gets, so it is off.
    """
    from math_verify import parse, verify

    for name in ("math_verify.parser", "math_verify.grader"):
        logging.getLogger(name).setLevel(logging.ERROR)  # each says that the timeout is off
    if _unreadable(gold) or not (expected := parse(f"${_bare(gold)}$", parsing_timeout=None)):
        return None
    if _unreadable(said):
        return False
    given = parse(f"${_bare(said)}$", parsing_timeout=None)
    return bool(given) and bool(verify(expected, given, timeout_seconds=None))


def _unreadable(expression: str) -> bool:
    return len(expression) > _LONGEST or _HUGE.search(expression) is not None


def completion(answer: Answer) -> Completion:
    """The answer as `tasks.scoring` takes it."""
    return Completion(answer.text, (), (), "stop" if answer.finished else "length")


def _bare(expression: str) -> str:
    return expression.strip().strip("$").rstrip(".").strip()


def _stated(text: str) -> str | None:
    """What `####`, the last `\\boxed{}` or the last "answer is" marks."""
    box = text.rfind("\\boxed{")
    marks = list(_MARKED.finditer(text))
    hashes = [mark["hash"] for mark in marks if mark["hash"]]
    if hashes:
        return str(hashes[0]).strip()
    if box >= 0:
        return _braced(text[box + len("\\boxed{") :])
    return str(marks[-1]["said"]).strip() if marks else None


def _braced(tail: str) -> str | None:
    depth = 1
    for i, sign in enumerate(tail):
        depth += (sign == "{") - (sign == "}")
        if not depth:
            return tail[:i].strip() or None
    return None
