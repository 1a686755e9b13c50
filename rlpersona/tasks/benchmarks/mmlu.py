"""MMLU: four choices over 57 subjects, without examples before them (Hendrycks et al. 2021, 2009.03300).

The choices keep their order: the letters are spread evenly at the source, and some choices name others
("both A and B").
"""

from __future__ import annotations

import string

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    choice_question,
    clean_text,
    text_of,
    value_of,
)
from rlpersona.tasks.files import Row
from rlpersona.types import Question

_LETTERS = "ABCD"


def parse(row: Row, seed: int) -> Question:
    """The hub's columns `question`, `choices` (four) and `answer` (0-3), or `question`, `A` to `D` and
    `answer` (a letter) as in the original csv files, which come without a header. The domain is the
    `subject` if there is one: the original files have it in their names alone."""
    choices = value_of(row, "choices") if "choices" in row else [row.get(letter) for letter in _LETTERS]
    if not isinstance(choices, list) or len(choices) != len(_LETTERS):
        raise MalformedRow("column 'choices' must be a list of four texts")
    texts = [
        clean_text(choice, f"choice {letter}") for letter, choice in zip(_LETTERS, choices, strict=True)
    ]
    return choice_question(
        "mmlu",
        text_of(row, "question"),
        texts,
        texts[_index(value_of(row, "answer"))],
        domain=text_of(row, "subject") if row.get("subject") else "",
    )


def _index(answer: object) -> int:
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(_LETTERS):
        return answer
    if isinstance(answer, str) and len(answer.strip()) == 1:
        place = (_LETTERS + string.digits[: len(_LETTERS)]).find(answer.strip())
        if place >= 0:
            return place % len(_LETTERS)
    raise MalformedRow(f"column 'answer' must be 0-3 or a letter A-D, not {answer!r}")


BENCHMARK = Benchmark("mmlu", "cais/mmlu:all:test", parse, columns=("question", *_LETTERS, "answer"))
