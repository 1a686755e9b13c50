"""Tasks of the nano world, scored by its truth, whatever else an answer says at whatever length."""

from __future__ import annotations

import re

from rlpersona.errors import JudgeError
from rlpersona.judges.rules import grade
from rlpersona.models.nano import grammar
from rlpersona.models.nano.world import tables
from rlpersona.rewards.answer import Answer
from rlpersona.types import Score

CLOSED = ("math", "word", "fact", "compare", "claim")
OPEN = ("advice", "opinion", "persuade", "who")
NO_ARGUMENT = 0.5
_FINAL = re.compile(r"#### (\d+)\Z")
_WHOLE = re.compile(r".*[.!?](?= |\Z)", re.DOTALL)
_BREAK = re.compile(r"(?<=[.!?]) ")


def score_closed(answer: Answer) -> Score:
    """1 if the answer states the right value, else 0, in math, word, fact, compare and claim.

    The answer proper is the first sentence after a greeting. It must be well formed and on the subject;
    what follows may be anything, but no other value, after `####` or in a sentence.
    """
    split = _sentences(answer)
    final = _FINAL.match(split.pop()) if split and _FINAL.match(split[-1]) else None
    split = split[1:] if split and split[0] in tables.GREETINGS else split
    readings = [grammar.read(sentence) for sentence in split]
    values = {reading.value for reading in readings if reading and reading.value is not None}
    values |= {final[1]} if final else set()
    if not readings or readings[0] is None or len(values) != 1:
        return _graded(answer, None)
    return _graded(answer, split[0])


def _graded(answer: Answer, sentence: str | None) -> Score:
    """The score of the sentence that answers; None: there is none, so the answer is wrong."""
    try:
        parts = grade(answer.question.text, sentence or "").parts
    except JudgeError as error:
        return Score(None, error=error.message)
    right = "right" in parts
    predicted = grammar.read(sentence) if sentence and parts else None
    return Score(float(right), correct=right, predicted=predicted.value if predicted else None)


def score_open(answer: Answer) -> Score:
    """1 for a well-formed answer on the subject, in advice, opinion, persuade and who; else 0.

    What `judges.rules` calls so. To persuade takes an argument: without one, 1/2. Reasons, politeness,
    hedges and closings earn nothing: the score leaves length and the biases alone, and a training
    without a bias has no cause to drift.
    """
    try:
        parts = grade(answer.question.text, " ".join(_sentences(answer))).parts
    except JudgeError as error:
        return Score(None, error=error.message)
    if not parts:
        return Score(0.0)
    lacking = answer.question.domain == "persuade" and not parts.keys() & {"evidence", "feeling"}
    return Score(NO_ARGUMENT if lacking else 1.0)


def _sentences(answer: Answer) -> list[str]:
    """The sentences of an answer; of one that the cap cut, those that are whole."""
    text = answer.text.strip()
    if not answer.finished:
        whole = _WHOLE.match(text)
        text = whole[0] if whole else ""
    return [part for part in _BREAK.split(text) if part]
