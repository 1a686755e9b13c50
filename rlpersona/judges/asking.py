"""From instructions and texts to requests, and from replies to what they say, asking once again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, Protocol, TypeVar

from rlpersona.judges.fencing import fence
from rlpersona.judges.prompts import load
from rlpersona.types import ApiCall, ApiReply, Message, Sampling

AGAIN = "again-v1"
SAMPLING = Sampling(max_tokens=300)
T = TypeVar("T")


class Settled(Protocol):
    """How a call ended: `failure` is None exactly when `reply` can be used."""

    @property
    def reply(self) -> ApiReply | None:
        """The reply, if there was one."""
        ...

    @property
    def failure(self) -> str | None:
        """The kind of failure, such as `"filter"` or `"cutoff"`."""
        ...


Ask = Callable[[Sequence[ApiCall]], Sequence[Settled]]


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """The model that judges, and how it is asked.

    `structured` sends the JSON schema of the reply, for providers that hold a reply to it; the
    instructions ask for the same JSON in words either way. `salt` enters the delimiters.
    """

    provider: Literal["openai", "anthropic", "local"]
    model: str
    base_url: str = ""
    sampling: Sampling = SAMPLING
    structured: bool = True
    salt: str = ""

    def call(
        self,
        version: str,
        texts: Mapping[str, str],
        schema: Mapping[str, Any],
        *,
        order: str = "",
        sample: int = 0,
        **fields: str,
    ) -> ApiCall:
        """The request that has `texts` (label -> foreign text) judged by the instructions `version`.

        `fields` fill further placeholders and must not be foreign text: they are not fenced.
        """
        code, block = fence(texts, self.salt)
        return ApiCall(
            provider=self.provider,
            model=self.model,
            base_url=self.base_url,
            messages=load(version).messages(nonce=code, texts=block, **fields),
            sampling=self.sampling,
            schema=json.dumps(schema, sort_keys=True) if self.structured else "",
            prompt_version=version,
            sample=sample,
            order=order,
        )


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """What a reply says. `value` is None exactly when `error` says why; `key` is the last request's."""

    value: T | None
    error: str | None
    key: str


def put(ask: Ask, calls: Sequence[ApiCall], read: Callable[[ApiCall, str], T | None]) -> list[Said[T]]:
    """Ask all, read each reply, and ask once more where a reply cannot be read.

    `read` gets the call and its reply's text. The second request says so at its end; it has a key of
    its own, so that neither is paid for twice. What is then still unreadable has the error
    `"unparsed"`; other failures keep the kind that the client gave them and are not asked again here.
    """
    if not calls:
        return []
    said = [_read(call, outcome, read) for call, outcome in zip(calls, ask(calls), strict=True)]
    unread = [i for i, one in enumerate(said) if one.error == "unparsed"]
    if unread:
        retries = [again(calls[i]) for i in unread]
        for i, call, outcome in zip(unread, retries, ask(retries), strict=True):
            said[i] = _read(call, outcome, read)
    return said


def again(call: ApiCall) -> ApiCall:
    """The same request with a last line that asks for the JSON alone."""
    *head, last = call.messages
    reminder = load(AGAIN).user
    return replace(
        call,
        messages=(*head, Message(last.role, f"{last.content}\n\n{reminder}")),
        prompt_version=f"{call.prompt_version}+{AGAIN}",
    )


def object_schema(**fields: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON schema of an object with exactly these fields, a one-sentence `reason` before them."""
    fields = {"reason": {"type": "string"}, **fields}
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _read(call: ApiCall, outcome: Settled, read: Callable[[ApiCall, str], T | None]) -> Said[T]:
    if outcome.failure is not None or outcome.reply is None:
        return Said(None, outcome.failure or "no reply", call.key)
    if outcome.reply.finish != "stop":
        kind = {"length": "cutoff", "filter": "filter"}[outcome.reply.finish]
        return Said(None, kind, call.key)
    value = read(call, outcome.reply.text)
    return Said(value, "unparsed" if value is None else None, call.key)
