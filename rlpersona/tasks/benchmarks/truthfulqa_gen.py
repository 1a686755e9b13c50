"""TruthfulQA, generation: an answer in the model's own words (Lin et al. 2022, 2109.07958).

Scored without a judge by `tasks.references.closer_to_truth` (the published `rouge1_acc`, but over
content words), a proxy.
"""

from __future__ import annotations

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    clean_text,
    open_question,
    present,
    text_of,
    value_of,
)
from rlpersona.tasks.benchmarks.truthfulqa import sheet_answers
from rlpersona.tasks.files import Row
from rlpersona.types import Question

_NO_COMMENT = "I have no comment."  # true of every question, as in the paper's references


def parse(row: Row, seed: int) -> Question:
    """The hub's `question`, `best_answer`, `correct_answers` and `incorrect_answers`, or the csv's
    columns. `answer` is the best one, `meta` holds `correct_answers` (with "I have no comment.") and
    `incorrect_answers`, each without those that are listed on both sides."""
    if "Best Answer" in row or "Question" in row:
        text, best = text_of(row, "Question"), text_of(row, "Best Answer")
        true, false = sheet_answers(row)
        domain = str(row.get("Category") or "")
    else:
        text, best = text_of(row, "question"), text_of(row, "best_answer")
        true, false = [best, *_texts(row, "correct_answers")], _texts(row, "incorrect_answers")
        domain = str(row.get("category") or "")
    correct = tuple(dict.fromkeys(answer for answer in [*true, _NO_COMMENT] if answer not in false))
    incorrect = tuple(dict.fromkeys(answer for answer in false if answer not in true))
    if not correct or not incorrect:
        raise MalformedRow("a true and a false answer are needed, each on its side alone")
    return open_question(
        "truthfulqa_gen",
        text,
        best,
        domain=domain,
        meta={
            "correct_answers": correct,
            "incorrect_answers": incorrect,
            **present(row, "Type", "type"),
        },
    )


def _texts(row: Row, column: str) -> list[str]:
    value = value_of(row, column)
    if not isinstance(value, list):
        raise MalformedRow(f"column '{column}' must be a list, not {type(value).__name__}")
    return [clean_text(text, f"an answer of '{column}'") for text in value]


BENCHMARK = Benchmark("truthfulqa_gen", "truthfulqa/truthful_qa:generation:validation", parse)
