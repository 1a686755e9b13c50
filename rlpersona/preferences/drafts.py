"""What every format is read into: one draft a row, from which training rows are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rlpersona.tasks.identity import digest

Kind = Literal["pairs", "completions"]
Messages = tuple[tuple[str, str], ...]  # (role, content)
ROLES = ("system", "user", "assistant")


class BadRowError(ValueError):
    """A row that is none, with the reason."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A prompt, the answer to learn, and the one to avoid (None for a completion).

    `tied` says that the source itself finds both answers equally good.
    """

    place: str
    prompt: Messages
    chosen: str
    rejected: str | None
    name: str = ""
    tied: bool = False

    @property
    def id(self) -> str:
        """The source's own name for the row, else 16 hex digits made from its content."""
        return self.name or digest("row", self.prompt, self.chosen, self.rejected)[:16]

    def row(self) -> dict[str, Any]:
        """The row in TRL's conversational form."""
        prompt = [{"role": role, "content": content} for role, content in self.prompt]
        answers = (
            {"completion": _answer(self.chosen)}
            if self.rejected is None
            else {"chosen": _answer(self.chosen), "rejected": _answer(self.rejected)}
        )
        return {"prompt": prompt, **answers, "id": self.id}


def draft(
    place: str,
    row: Mapping[str, Any],
    prompt: Messages,
    chosen: str,
    rejected: str | None,
    *,
    tied: bool = False,
) -> Draft:
    """A draft whose name is the row's `id`, `prompt_id` or nothing."""
    name = next((row[key] for key in ("id", "prompt_id") if row.get(key) is not None), "")
    return Draft(place, prompt, chosen, rejected, text(str(name), "id"), tied)


def text(value: object, column: str) -> str:
    """A column's text; BadRowError for what is none, or what no UTF-8 file holds."""
    if not isinstance(value, str):
        raise BadRowError(
            f"'{column}' is missing"
            if value is None
            else f"'{column}' must be text, this is {type(value).__name__}"
        )
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise BadRowError(f"'{column}' holds a NUL or half a character")
    return value


def messages(value: object, column: str) -> Messages:
    """A chat from a list of messages, or from plain text, which is one turn of the user."""
    if isinstance(value, str):
        return (("user", text(value, column)),)
    if not isinstance(value, Sequence):
        raise BadRowError(
            f"'{column}' is missing"
            if value is None
            else f"'{column}' must be text or a list of messages, this is {type(value).__name__}"
        )
    turns = []
    for turn in value:
        if not isinstance(turn, Mapping) or turn.get("role") not in ROLES:
            raise BadRowError(f"'{column}' holds what is no message of {', '.join(ROLES)}")
        turns.append((str(turn["role"]), text(turn.get("content"), column)))
    return tuple(turns)


def joined(turns: Messages) -> Messages:
    """The same chat with one speaker's adjacent turns as one: chat templates want them to alternate."""
    kept: list[tuple[str, str]] = []
    for role, content in turns:
        if kept and kept[-1][0] == role:
            kept[-1] = (role, f"{kept[-1][1]}\n\n{content}")
        else:
            kept.append((role, content))
    return tuple(kept)


def _answer(content: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": content}]
