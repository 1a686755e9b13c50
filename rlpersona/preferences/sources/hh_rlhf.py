r"""HH-RLHF (Bai et al. 2022, arXiv:2204.05862): two dialogues that differ in the last answer.

    {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello", "rejected": "\n\nHuman: Hi\n\nAssistant: No"}

The turns before the last are the prompt. A few texts hold the marks themselves, so that a dialogue seems
to have two turns of one speaker on end: in the prompt they are joined; where the dialogues then part
before the last answer, nobody can tell where the answer begins, and the row is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from rlpersona.preferences.drafts import BadRowError, Draft, Kind, Messages, draft, joined, text
from rlpersona.preferences.reading import Rejected
from rlpersona.tasks.files import Located

MARK = re.compile(r"\n\n(Human|Assistant):")
ROLES = {"Human": "user", "Assistant": "assistant"}


def drafts(rows: Iterable[Located], kind: Kind) -> Iterator[Draft | Rejected]:
    """A draft for each row, or why there is none."""
    for place, row in rows:
        try:
            chosen = dialogue(text(row.get("chosen"), "chosen"), "chosen")
            rejected = dialogue(text(row.get("rejected"), "rejected"), "rejected")
            if chosen[:-1] != rejected[:-1]:
                raise BadRowError("the dialogues part before the last answer")
            avoided = rejected[-1][1] if kind == "pairs" else None
            yield draft(place, row, joined(chosen[:-1]), chosen[-1][1], avoided)
        except BadRowError as error:
            yield Rejected(place, str(error))


def dialogue(value: str, column: str = "dialogue") -> Messages:
    """The turns of a dialogue, trimmed; BadRowError unless it begins with one of the human's and ends
    with one of the assistant's."""
    head, *parts = MARK.split(value)
    turns = tuple(
        (ROLES[speaker], said.strip()) for speaker, said in zip(parts[::2], parts[1::2], strict=True)
    )
    if head.strip() or not turns or turns[0][0] != "user":
        raise BadRowError(f"'{column}' does not begin with '\\n\\nHuman:'")
    if turns[-1][0] != "assistant":
        raise BadRowError(f"'{column}' does not end with a turn of the assistant")
    return turns
