"""Rows of text to token ids, in the very form in which the engines will ask.

The prompt is encoded by the engines' own `Encoder`, so a model is trained after exactly the tokens that
it sees later; the answer follows with the token that ends a turn, so that it learns to stop.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.errors import DataError, ModelError
from rlpersona.models.encode import Encoder, end_tokens, window_of
from rlpersona.types import Message, Prompt

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROBE = "an answer that no template holds"
IGNORED = -100  # a label without loss
Row = dict[str, Any]


@dataclass(frozen=True)
class Rows:
    """Encoded rows, and how many were left out because they are longer than `max_length` tokens."""

    rows: list[Row]
    too_long: int
    max_length: int


class Turns:
    """Encodes prompts and answers for one model."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.window = window_of(model.config, tokenizer)
        self.end = turn_end(tokenizer, model.generation_config.eos_token_id)
        self._encoder = Encoder(tokenizer, sys.maxsize)

    def prompt(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of a chat with its generation prompt."""
        return self._encoder.prompt(Prompt(tuple(Message(m["role"], m["content"]) for m in messages)))  # type: ignore[arg-type]

    def answer(self, messages: list[dict[str, str]]) -> list[int]:
        """Ids of the assistant's one message and the end of its turn."""
        (message,) = messages
        ids: list[int] = self.tokenizer(message["content"], add_special_tokens=False)["input_ids"]
        return [*ids, self.end]


def sft_rows(path: Path, turns: Turns, max_length: int | None) -> Rows:
    """`input_ids` and `labels` of every row of prompt and completion; prompt tokens have no label.

    Raises:
        DataError: a row that is none (with its line), no row, or none short enough.
    """

    def encode(row: Row) -> Row:
        prompt, answer = turns.prompt(row["prompt"]), turns.answer(row["completion"])
        return {"input_ids": prompt + answer, "labels": [IGNORED] * len(prompt) + answer}

    return _encoded(path, turns, max_length, encode, lambda row: len(row["input_ids"]))


def dpo_rows(path: Path, turns: Turns, max_length: int | None) -> Rows:
    """`prompt_ids`, `chosen_ids` and `rejected_ids` of every row (DataError as `sft_rows`)."""

    def encode(row: Row) -> Row:
        return {
            "prompt_ids": turns.prompt(row["prompt"]),
            "chosen_ids": turns.answer(row["chosen"]),
            "rejected_ids": turns.answer(row["rejected"]),
        }

    def length(row: Row) -> int:
        return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))

    return _encoded(path, turns, max_length, encode, length)


def turn_end(tokenizer: PreTrainedTokenizerBase, generation_ends: int | list[int] | None) -> int:
    """The token that ends the assistant's turn: where the chat template puts one, else EOS.

    They differ in some families: Gemma's template ends a turn with `<end_of_turn>`, its EOS is `<eos>`.

    Raises:
        ModelError: the tokenizer has neither.
    """
    ends = end_tokens(generation_ends, tokenizer.eos_token_id)
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": PROBE}]
        text = str(tokenizer.apply_chat_template(turns, tokenize=False))
        after = text[text.rfind(PROBE) + len(PROBE) :]
        for token in tokenizer(after, add_special_tokens=False)["input_ids"]:
            if token in ends:
                return int(token)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            "the model's tokenizer has no EOS token, so nothing trained with it would ever stop",
            "Set eos_token in its tokenizer_config.json.",
        )
    return int(tokenizer.eos_token_id)


def _encoded(
    path: Path,
    turns: Turns,
    max_length: int | None,
    encode: Callable[[Row], Row],
    length: Callable[[Row], int],
) -> Rows:
    limit = min(max_length or sys.maxsize, turns.window)
    rows = [_checked(path, line, row, encode) for line, row in _lines(path)]
    kept = [row for row in rows if length(row) <= limit]
    if not kept:
        raise DataError(
            f"{path} has no row to train on"
            + (f": all {len(rows)} are longer than {limit} tokens" if rows else ""),
            "Give shorter rows, a larger max_length, or a model with a larger window.",
        )
    return Rows(kept, len(rows) - len(kept), limit)


def _checked(path: Path, line: int, row: Row, encode: Callable[[Row], Row]) -> Row:
    try:
        return encode(row)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}, line {line}: {type(error).__name__}: {error}",
            "A row has lists of messages: prompt and completion (SFT), or prompt, chosen and rejected"
            " (DPO); each message has role and content, and an answer is one message.",
        ) from error


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, json.loads(line)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", "Give a JSONL file, one row a line."
        ) from error
