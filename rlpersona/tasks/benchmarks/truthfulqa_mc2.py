"""TruthfulQA, MC2: the probability that the true answers hold together (Lin et al. 2022, 2109.07958).

The score is the softmax mass of the true answers over all answers, by their likelihoods: a fraction, not
right or wrong. The answers keep their order, which no likelihood depends on.
"""

from __future__ import annotations

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    choice_question,
    present,
    text_of,
    value_of,
)
from rlpersona.tasks.benchmarks.truthfulqa import sheet_answers, split_targets
from rlpersona.tasks.files import Row
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """`question` with `mc2_targets`, or the csv's `Question`, `Best Answer`, `Correct Answers` and
    `Incorrect Answers`. `meta["true_answers"]` holds the true ones, `answer` is the first of them. An
    answer that is listed on both sides (two rows of the csv list "Unknown" so) is left out."""
    if "Best Answer" in row or "Question" in row:
        text, (true, false) = text_of(row, "Question"), sheet_answers(row)
    else:
        text = text_of(row, "question")
        true, false = split_targets(value_of(row, "mc2_targets"), "mc2_targets")
    true, false = (
        [answer for answer in true if answer not in false],
        [answer for answer in false if answer not in true],
    )
    if not true or not false:
        raise MalformedRow("a true and a false answer are needed, each on its side alone")
    return choice_question(
        "truthfulqa_mc2",
        text,
        [*true, *false],
        true[0],
        domain=str(row.get("Category") or ""),
        meta={"true_answers": tuple(dict.fromkeys(true)), **present(row, "Type")},
    )


BENCHMARK = Benchmark("truthfulqa_mc2", "truthfulqa/truthful_qa:multiple_choice:validation", parse)
