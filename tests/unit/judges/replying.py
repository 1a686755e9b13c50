"""Judges made of rules, that read the very prompt which a model would get."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlpersona.types import ApiCall, ApiReply

Answer = str | tuple[str, str]  # a text, or ("length" | "filter" | "rate" ..., text)


@dataclass(frozen=True)
class Ended:
    reply: ApiReply | None
    failure: str | None = None


def shown(call: ApiCall) -> dict[str, str]:
    """label -> text of the blocks in a prompt, told from each other by the code that its head names."""
    user = call.messages[-1].content
    code = re.match(r"\[BEGIN [A-Z ]+ ([0-9a-f]{16})\]", user)
    assert code is not None
    blocks = re.findall(rf"\[BEGIN ([A-Z ]+) {code[1]}\]\n(.*?)\n\[END \1 {code[1]}\]", user, re.DOTALL)
    assert len(dict(blocks)) == len(blocks)
    return dict(blocks)


class Replying:
    """An `ask` whose replies `answer` makes of the blocks it is shown; keeps every call."""

    def __init__(self, answer: Callable[[dict[str, str]], Answer]) -> None:
        self.answer = answer
        self.calls: list[ApiCall] = []

    def __call__(self, calls: Sequence[ApiCall]) -> list[Ended]:
        self.calls += calls
        return [self._ended(call) for call in calls]

    def _ended(self, call: ApiCall) -> Ended:
        said = self.answer(shown(call))
        if isinstance(said, str):
            return Ended(ApiReply(said, "stop", 1, 1))
        kind, text = said
        if kind in ("length", "filter"):
            return Ended(ApiReply(text, kind, 1, 1))  # type: ignore[arg-type]
        return Ended(None, kind)
