"""Rows of prompt, chosen and rejected, or of prompt and completion: TRL's forms, plain and of messages.

    {"prompt": "Why?", "chosen": "So.", "rejected": "Thus."}             plain
    {"prompt": [{"role": "user", ...}], "chosen": [{"role": "assistant", ...}], "rejected": [...]}
    {"chosen": [user, assistant], "rejected": [user, assistant]}         a prompt as text is unread then
    {"prompt": ..., "completion": ...}                                   for SFT

An answer is one message of the assistant. Where a row has both, `completion` is the answer to learn;
where it has only chosen and rejected, SFT learns the chosen one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rlpersona.preferences.drafts import BadRowError, Draft, Kind, Messages, draft, messages, text
from rlpersona.preferences.reading import Rejected
from rlpersona.tasks.files import Located


def drafts(rows: Iterable[Located], kind: Kind) -> Iterator[Draft | Rejected]:
    """A draft for each row, or why there is none."""
    for place, row in rows:
        try:
            yield read(place, row, kind)
        except BadRowError as error:
            yield Rejected(place, str(error))


def read(place: str, row: Mapping[str, Any], kind: Kind, *, tied: bool = False) -> Draft:
    """One row's draft; BadRowError with the reason where there is none."""
    if kind == "completions":
        column = "completion" if "completion" in row else "chosen"
        if column not in row:
            raise BadRowError("'completion' is missing")
        prompt, answer = _answer(row, column)
        return draft(place, row, prompt, answer, None)
    prompt, chosen = _answer(row, "chosen")
    other, rejected = _answer(row, "rejected")
    if prompt != other:
        raise BadRowError("'chosen' and 'rejected' answer different prompts")
    return draft(place, row, prompt, chosen, rejected, tied=tied)


def _answer(row: Mapping[str, Any], column: str) -> tuple[Messages, str]:
    """The prompt and the one answer to it."""
    value = row.get(column)
    if isinstance(value, str):
        return messages(row.get("prompt"), "prompt"), text(value, column)
    turns = messages(value, column)
    if not turns or turns[-1][0] != "assistant":
        raise BadRowError(f"'{column}' does not end with a message of the assistant")
    if len(turns) == 1:
        return messages(row.get("prompt"), "prompt"), turns[0][1]
    if isinstance(row.get("prompt"), list):
        raise BadRowError(f"'{column}' must be one message of the assistant, this has {len(turns)}")
    return turns[:-1], turns[-1][1]
