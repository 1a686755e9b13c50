"""Chats to token ids and back: both engines are fed from here, so they cannot differ."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from rlpersona.errors import ModelError
from rlpersona.types import Message, Prompt

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

PROBE = "a system prompt that no template holds"


class Encoder:
    """Token ids of prompts and choices for one tokenizer.

    `window` is the longest sequence (prompt + continuation, tokens) that the model takes.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, window: int) -> None:
        self.tokenizer = tokenizer
        self.window = window
        self._marks = [
            token.content for token in tokenizer.added_tokens_decoder.values() if token.special
        ]
        self._has_template = bool(tokenizer.chat_template)
        self._folds_system = self._has_template and not self._takes_system()
        self._split_tail = lru_cache(maxsize=16384)(self._split)

    def prompt(self, prompt: Prompt) -> list[int]:
        """Ids of the chat with its generation prompt and cue.

        Raises:
            ModelError: the ids and one more token do not fit the window; a prompt is never cut.
        """
        return self._fit(self._ids(self._text(prompt)), room=1)

    def plain(self, text: str) -> list[int]:
        """Ids of a text that the model continues as it stands, without a chat template.

        Raises:
            ModelError: the ids and one more token do not fit the window.
        """
        return self._fit(list(self.tokenizer(text)["input_ids"]), room=1)

    def choices(self, prompt: Prompt, choices: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Context ids and, for each choice, the ids whose log-likelihood is the choice's score.

        As in lm-evaluation-harness, a choice is tokenised together with its context and split off
        at the context's length. Where the last letters of the context merge into a token with the
        first ones of any choice, the split moves left, for all choices of the prompt alike: every
        continuation then begins with the same few letters of context, and scores stay comparable.

        Raises:
            ModelError: no choices, an empty choice, or the longest does not fit the window.
        """
        text, lead = self._text(prompt), " " if prompt.cue else ""
        ids, texts = self._ids(text), tuple(lead + choice for choice in choices)
        if not all(choices) or not choices:
            raise ModelError(f"a question has no choices or an empty one: {list(choices)!r}")
        # Text is parted at special tokens before it is tokenised, so what follows the last one can be
        # tokenised alone. Many prompts end alike: these results are kept.
        start = max((text.rfind(mark) for mark in self._marks), default=0)
        context, cut, continuations = self._split_tail(text[max(start, 0) :], texts)
        if tuple(ids[-len(context) :]) != context:
            context, cut, continuations = self._split(text, texts)
        kept = ids[: len(ids) - len(context) + cut]
        if not kept:
            raise ModelError(f"prompt {text!r} gives no token before its choices")
        return self._fit(kept, max(map(len, continuations))), [list(ids) for ids in continuations]

    def response(self, prompt: Prompt, text: str) -> tuple[list[int], list[int]]:
        """Ids of the chat, and of a text that answers it as it stands (none for an empty text).

        Both are tokenised together; where the last letters of the chat merge with the first ones of
        the text into a token, that token is the text's.

        Raises:
            ModelError: they do not fit the window.
        """
        head, cut, (ids,) = self._split(self._text(prompt), (text,))
        return self._fit(list(head[:cut]), len(ids)), list(ids)

    def followed(
        self, prompts: Sequence[Prompt], completions: Sequence[Sequence[int]]
    ) -> list[tuple[list[int], list[int]]]:
        """Ids of each chat, and those of its completion (ModelError if they do not fit the window)."""
        if not prompts:
            return []
        texts = [self._text(prompt) for prompt in prompts]  # tokenised in one call: it saves most of it
        heads = self.tokenizer(texts, add_special_tokens=not self._has_template)["input_ids"]
        return [
            (self._fit(head, len(ids)), list(ids)) for head, ids in zip(heads, completions, strict=True)
        ]

    def text(self, ids: Sequence[int]) -> str:
        """Text of generated ids, without special tokens such as a trailing end-of-turn."""
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def _split(
        self, context: str, texts: tuple[str, ...]
    ) -> tuple[tuple[int, ...], int, tuple[tuple[int, ...], ...]]:
        """Ids of `context`, how many of them every `context + text` shares, and the ids after those."""
        head = self._ids(context)
        wholes = [self._ids(context + text) for text in texts]
        cut = min(_common(head, whole) for whole in wholes)
        return tuple(head), cut, tuple(tuple(whole[cut:]) for whole in wholes)

    def _text(self, prompt: Prompt) -> str:
        if not self._has_template:
            return "\n\n".join(message.content for message in prompt.messages) + "\n" + prompt.cue
        from jinja2 import TemplateError

        messages = fold_system(prompt.messages) if self._folds_system else prompt.messages
        try:
            return self._render(messages) + prompt.cue
        except TemplateError as error:
            roles = ", ".join(message.role for message in prompt.messages)
            raise ModelError(
                f"the model's chat template refuses a chat of {roles}: {error}",
                "Most templates want user and assistant in turn, the user first.",
            ) from error

    def _render(self, messages: Sequence[Message]) -> str:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        # Templates of reasoning models know enable_thinking; the others ignore it.
        return str(
            self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    def _takes_system(self) -> bool:
        from jinja2 import TemplateError

        try:
            return PROBE in self._render((Message("system", PROBE), Message("user", "hello")))
        except TemplateError:
            return False

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=not self._has_template)["input_ids"]
        return ids

    def _fit(self, ids: list[int], room: int) -> list[int]:
        if not ids:
            raise ModelError("an empty prompt gives no token", "Give the prompt some text.")
        if len(ids) + room > self.window:
            raise ModelError(
                f"a prompt of {len(ids)} tokens and {room} to follow do not fit the model's window"
                f" of {self.window} tokens",
                "Shorten question or persona, or give room: another model, a larger model.window.",
            )
        return ids


def fold_system(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The same chat for a template without a system role: its text opens the first user turn."""
    system = [message.content for message in messages if message.role == "system"]
    rest = [message for message in messages if message.role != "system"]
    if not system or not rest or rest[0].role != "user":
        return tuple(messages)
    return (Message("user", "\n\n".join([*system, rest[0].content])), *rest[1:])


def window_of(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, wanted: int | None = None
) -> int:
    """Longest sequence in tokens: what the model was made for, or less if tokenizer or user say so."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(min(positions or 10**9, tokenizer.model_max_length or 10**9, wanted or 10**9))


def end_tokens(*ids: int | list[int] | None) -> frozenset[int]:
    """All token ids that end a completion, from whatever configs name them."""
    return frozenset(
        i for some in ids if some is not None for i in ([some] if isinstance(some, int) else some)
    )


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
