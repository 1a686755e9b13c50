"""TriviaQA: short answers and their aliases, without documents (Joshi et al. 2017, 1705.03551)."""

from __future__ import annotations

from collections.abc import Mapping

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    clean_text,
    open_question,
    present,
    text_of,
    value_of,
)
from rlpersona.tasks.files import Row
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """The hub's columns `question` and `answer` (an object with `value` and `aliases`), or `context`
    ("Question: ...\\nAnswer:"), `answer` and `aliases`. `meta["aliases"]` holds them all."""
    if "context" in row:
        text = text_of(row, "context").removeprefix("Question:").removesuffix("Answer:").strip()
        answer, aliases = text_of(row, "answer"), value_of(row, "aliases")
    else:
        gold = value_of(row, "answer")
        if not isinstance(gold, Mapping):
            raise MalformedRow("column 'answer' must be an object with 'value' and 'aliases'")
        text, answer = text_of(row, "question"), text_of(gold, "value")
        aliases = value_of(gold, "aliases")
    if not isinstance(aliases, list):
        raise MalformedRow(f"'aliases' must be a list, not {type(aliases).__name__}")
    return open_question(
        "triviaqa",
        clean_text(text, "the question"),
        answer,
        meta={
            "aliases": tuple(clean_text(alias, "an alias") for alias in aliases),
            **present(row, "question_id"),
        },
    )


BENCHMARK = Benchmark("triviaqa", "mandarjoshi/trivia_qa:rc.nocontext:validation", parse)
