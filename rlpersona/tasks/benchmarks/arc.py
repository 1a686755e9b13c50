"""ARC: science questions of school exams, three to five choices (Clark et al. 2018, 1803.05457)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    choice_question,
    clean_text,
    present,
    text_of,
    value_of,
)
from rlpersona.tasks.files import Row
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """The hub's columns `question`, `choices` (`{"text": [], "label": []}`) and `answerKey`, or the
    original jsonl's `question` (`{"stem": ..., "choices": [{"text", "label"}]}`) and `answerKey`.

    Labels are letters or numbers, and the key is one of them. The domain is the exam in the row's id:
    `Mercury` of `Mercury_SC_401699`. The choices keep their order: it is the exam's.
    """
    question = value_of(row, "question")
    if isinstance(question, Mapping):
        text, pairs = text_of(question, "stem"), _listed(value_of(question, "choices"))
    else:
        text, pairs = text_of(row, "question"), _columns(value_of(row, "choices"))
    texts = {
        clean_text(label, "a choice's label"): clean_text(choice, f"choice {label}")
        for label, choice in pairs
    }
    if len(texts) != len(pairs):
        raise MalformedRow("two choices have one label")
    key = text_of(row, "answerKey")
    if key not in texts:
        raise MalformedRow(f"the answer '{key[:20]}' is none of the labels {', '.join(texts)[:60]}")
    exam = re.match("[^_0-9]*", str(row.get("id") or ""))
    return choice_question(
        "arc",
        text,
        list(texts.values()),
        texts[key],
        domain=exam[0] if exam else "",
        meta=present(row, "id"),
    )


def _listed(value: object) -> list[tuple[object, object]]:
    if not isinstance(value, list) or not all(isinstance(choice, Mapping) for choice in value):
        raise MalformedRow("the question's 'choices' must be a list of objects with 'text' and 'label'")
    return [(value_of(choice, "label"), value_of(choice, "text")) for choice in value]


def _columns(value: object) -> list[tuple[object, object]]:
    if not isinstance(value, Mapping):
        raise MalformedRow(f"column 'choices' must be an object, not {type(value).__name__}")
    labels, texts = value_of(value, "label"), value_of(value, "text")
    if not isinstance(labels, list) or not isinstance(texts, list) or len(labels) != len(texts):
        raise MalformedRow("column 'choices' must hold as many labels as texts")
    return list(zip(labels, texts, strict=True))


BENCHMARK = Benchmark("arc", "allenai/ai2_arc:ARC-Challenge:test", parse)
