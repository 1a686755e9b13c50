"""UltraFeedback: prompts of many kinds (Cui et al. 2023, 2310.01377); its answers are not read here."""

from __future__ import annotations

from rlpersona.tasks.benchmark import Benchmark, MalformedRow, clean_text, open_question, value_of
from rlpersona.tasks.files import Row
from rlpersona.tasks.kinds import kind_of
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """`prompt`, or the first turn of a dialogue in `chosen` (a list of messages). No gold; the domain is
    the kind of the prompt: advice, opinion, creative or other."""
    if row.get("prompt") is None:
        turns = value_of(row, "chosen")
        if not isinstance(turns, list) or not turns or not isinstance(turns[0], dict):
            raise MalformedRow("there is no 'prompt', and 'chosen' is no list of messages")
        text = clean_text(turns[0].get("content"), "the first message of 'chosen'")
    else:
        text = clean_text(value_of(row, "prompt"), "column 'prompt'")
    return open_question("ultrafeedback", text, "", domain=kind_of(text))


BENCHMARK = Benchmark("ultrafeedback", "trl-lib/ultrafeedback_binarized:train", parse)
