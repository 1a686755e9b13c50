"""Natural Questions, open form: short answers without documents (Lee et al. 2019, 1906.00300)."""

from __future__ import annotations

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    clean_text,
    open_question,
    text_of,
    value_of,
)
from rlpersona.tasks.files import Row
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """`question` and `answer`, a list of texts that are all right; `meta["aliases"]` holds them."""
    answers = value_of(row, "answer")
    if not isinstance(answers, list) or not answers:
        raise MalformedRow("column 'answer' must be a list of texts")
    aliases = tuple(clean_text(answer, "an entry of 'answer'") for answer in answers)
    return open_question("nq_open", text_of(row, "question"), aliases[0], meta={"aliases": aliases})


BENCHMARK = Benchmark("nq_open", "google-research-datasets/nq_open:validation", parse)
