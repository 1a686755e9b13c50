"""Factual questions: does the answer name the right thing?"""

from __future__ import annotations

import re

from rlpersona.behaviour.text import sentences
from rlpersona.rewards.answer import Answer
from rlpersona.rewards.tasks.mathematics import completion
from rlpersona.tasks.prompts import gold_of
from rlpersona.tasks.references import normalise, short_answer
from rlpersona.tasks.scoring import score_letter, score_text
from rlpersona.types import Score

_LONGEST = 25
_UNCOMMITTED = re.compile(r"\b(?:or|not|neither|nor|either|never|cannot|isn t|wasn t|aren t)\b")


def score(answer: Answer) -> Score:
    """1 for the right answer, else 0; an answer that names nothing is wrong.

    Gold with aliases: TriviaQA's exact match (`tasks.scoring.score_text`), or the first sentence names
    an alias in its normal form, so that "It is Paris." earns what "Paris" does and length alone costs
    nothing. A first sentence of more than 25 words, or one that offers several ("Paris or Rome") or
    denies ("not Paris"), names nothing. Listed choices: the letter. References (TruthfulQA): nearer to
    a true one. A number: as in math.
    """
    question = answer.question
    if question.choices:
        return score_letter(question, completion(answer), unparsed="wrong")
    kind = gold_of(question)
    if kind in ("none", "program"):
        return Score(None, error=f"a {question.source} question has no aliases to compare with")
    exact = score_text(question, completion(answer), unparsed="wrong")
    if kind != "text" or exact.correct:
        return exact
    named = _named(answer, (question.answer, *question.meta["aliases"]))
    return Score(float(named is not None), correct=named is not None, predicted=named or exact.predicted)


def _named(answer: Answer, aliases: tuple[str, ...]) -> str | None:
    split = sentences(short_answer(answer.text))
    if not split or (len(split) == 1 and not answer.finished and not split[0].endswith((".", "!"))):
        return None
    first = f" {normalise(split[0])} "
    if len(first.split()) > _LONGEST:
        return None
    for alias in aliases:
        plain = normalise(alias)
        if plain and f" {plain} " in first:
            rest = first.replace(f" {plain} ", " ", 1)
            return None if _UNCOMMITTED.search(rest) else alias
    return None
