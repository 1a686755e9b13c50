"""HH-RLHF: how people open a talk with an assistant (Bai et al. 2022, 2204.05862), without the answers.

Some of its prompts are meant to offend or to lead astray.
"""

from __future__ import annotations

import re

from rlpersona.tasks.benchmark import Benchmark, MalformedRow, clean_text, open_question, text_of
from rlpersona.tasks.files import Row
from rlpersona.tasks.kinds import kind_of
from rlpersona.types import Question

_OPENING = re.compile(r"\A\s*Human:(.*?)(?:\n\nAssistant:|\Z)", re.DOTALL)


def parse(row: Row, seed: int) -> Question:
    """The first human turn of `chosen` (turns begin with "\\n\\nHuman:" and "\\n\\nAssistant:"), or
    `prompt`. No gold; the domain is the kind of the prompt: advice, opinion, creative or other."""
    if row.get("chosen") is None:
        text = text_of(row, "prompt")
    else:
        opening = _OPENING.match(text_of(row, "chosen"))
        if opening is None:
            raise MalformedRow("column 'chosen' does not begin with 'Human:'")
        text = clean_text(opening[1], "the first turn of 'chosen'")
    return open_question("hh_rlhf", text, "", domain=kind_of(text))


BENCHMARK = Benchmark("hh_rlhf", "Anthropic/hh-rlhf:test", parse)
