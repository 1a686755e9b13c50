"""GSM8K: grade-school word problems with a whole-number answer (Cobbe et al. 2021, 2110.14168)."""

from __future__ import annotations

import re

from rlpersona.tasks.answers import parse_number
from rlpersona.tasks.benchmark import Benchmark, MalformedRow, open_question, text_of
from rlpersona.tasks.files import Row
from rlpersona.types import Question

_GOLD = re.compile(r"^####[ \t]*(\S.*)\Z", re.MULTILINE)


def parse(row: Row, seed: int) -> Question:
    """Columns `question` and `answer`; the gold number ends the answer, after `#### `."""
    solution = text_of(row, "answer")
    marked = _GOLD.search(solution)
    if not marked:
        raise MalformedRow("column 'answer' does not end with a line '#### NUMBER'")
    gold = parse_number(marked[1])
    if gold is None:
        raise MalformedRow(f"the gold answer '{marked[1][:60]}' is not a number")
    return open_question("gsm8k", text_of(row, "question"), gold, domain="math")


BENCHMARK = Benchmark("gsm8k", "openai/gsm8k:main:test", parse)
