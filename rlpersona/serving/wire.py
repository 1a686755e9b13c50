"""The OpenAI wire format: requests read and checked, replies and errors written.

Chunks of a stream are cut from two templates that are encoded once per response, because a busy server
spends most of its time on them. A parameter that would silently be ignored is refused instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, cast
from urllib.parse import quote

from rlpersona.errors import (
    ConfigError,
    ConflictError,
    DataError,
    ModelError,
    PersonaError,
    RunError,
    RunLockedError,
    ServeError,
    StorageError,
    UnknownModelError,
    UnknownResponseError,
)
from rlpersona.types import Message, Role

# The status of an error is that of the nearest class above its own.
STATUS: dict[type[PersonaError], int] = {
    UnknownModelError: 404,
    UnknownResponseError: 404,
    ConflictError: 409,
    ConfigError: 400,
    DataError: 500,  # a torn file of ours: what a client sends is never one
    ModelError: 400,
    RunError: 500,
    RunLockedError: 503,
    ServeError: 503,
    StorageError: 507,
    PersonaError: 500,
}
CODES = {404: "not_found", 409: "conflict", 503: "overloaded", 507: "storage"}
ROLES = ("system", "developer", "user", "assistant")
MAX_MESSAGES, MAX_STOPS, MAX_MODEL_NAME = 1024, 4, 256
COLD = 1e-6  # a lower temperature is none: logits divided by it leave the range of their numbers
# Parameters of the API, and of vLLM, that this service lacks, with the values that ask for nothing.
REFUSED: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "logprobs": (False, 0),
    "top_logprobs": (0,),
    "echo": (False,),
    "suffix": ("",),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "top_k": (-1, 0),
    "min_p": (0,),
    "repetition_penalty": (1,),
}


class BadRequestError(ConfigError):
    """A request that cannot be answered as it stands; `param` names the field."""

    exit_code = 18

    def __init__(self, message: str, hint: str = "", param: str | None = None) -> None:
        super().__init__(message, hint)
        self.param = param


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks: a chat or a text, and how to continue it."""

    model: str
    messages: tuple[Message, ...]  # empty: `text` is continued as it stands
    text: str
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object of a request (BadRequestError: no JSON, no object, nested beyond reason)."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        what = "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"no JSON: {error}"
        raise BadRequestError(f"the body is {what}", "Send a JSON object in UTF-8.") from None
    if not isinstance(value, dict):
        raise BadRequestError("the body is no JSON object", 'Send {"model": ..., "messages": [...]}.')
    return value


def read_request(body: Mapping[str, Any], chat: bool, cap: int) -> Request:
    """A request to /v1/chat/completions (`chat`) or /v1/completions; `cap` bounds its max_tokens.

    Raises:
        BadRequestError: a field is missing, of the wrong type, out of range, or asks for what this
            service does not do.
    """
    model = _field(body, "model", str, None)
    if not isinstance(model, str) or not 0 < len(model) <= MAX_MODEL_NAME:
        raise BadRequestError("model is missing", "Name one of GET /v1/models.", "model")
    for name, harmless in REFUSED.items():
        value = body.get(name)
        if value is not None and not any(value == fine for fine in harmless):
            raise BadRequestError(f"{name}={_shown(value)} is not supported here", "Leave it out.", name)
    limit = body.get("max_completion_tokens")
    name = "max_tokens" if limit is None else "max_completion_tokens"
    options = _field(body, "stream_options", dict, {})
    temperature = _number(body, "temperature", 1.0, 0.0, 2.0)
    return Request(
        model=model,
        messages=_messages(body.get("messages")) if chat else (),
        text="" if chat else _text(body.get("prompt")),
        max_tokens=int(_number(body, name, cap, 1, cap, whole=True)),
        temperature=temperature if temperature >= COLD else 0.0,
        top_p=_number(body, "top_p", 1.0, 1e-6, 1.0),
        seed=None
        if body.get("seed") is None
        else int(_number(body, "seed", 0, -(2**63), 2**63 - 1, whole=True)),
        stop=_stops(body.get("stop")),
        stream=bool(_field(body, "stream", bool, False)),
        include_usage=bool(_field(options, "include_usage", bool, False)),
    )


class Reply:
    """The pieces of one response as bytes, in the shapes of a chat or of a text completion."""

    def __init__(
        self, request: Request, identity: str, created: int, provenance: Mapping[str, Any]
    ) -> None:
        self._chat = bool(request.messages)
        self._head = f'"id":{quoted(identity)},"created":{created},"model":{quoted(request.model)}'
        self._about = f',"rlpersona":{json.dumps(dict(provenance), default=str)}'
        kind = '"chat.completion.chunk"' if self._chat else '"text_completion"'
        start = f'data: {{"object":{kind},{self._head}'
        field = '"delta":{"content":' if self._chat else '"text":'
        self._open = f'{start},"choices":[{{"index":0,{field}'
        close = "}" if self._chat else ""
        self._close = f'{close},"logprobs":null,"finish_reason":'
        self._next = f"{self._close}null}}]}}\n\n"
        self._usage = f'{start},"choices":[],"usage":'
        role = '"delta":{"role":"assistant","content":' if self._chat else '"text":'
        self._first = f'{start}{self._about},"choices":[{{"index":0,{role}""{self._next}'

    def first(self) -> bytes:
        """The chunk that opens a stream: the role, and what answers."""
        return self._first.encode()

    def piece(self, text: str) -> bytes:
        """A chunk with more text."""
        return f"{self._open}{quoted(text)}{self._next}".encode()

    def last(self, text: str, finish: str, usage: tuple[int, int] | None) -> bytes:
        """What ends a stream: the remaining text, why it ended, the usage if it was asked for."""
        chunk = f"{self._open}{quoted(text)}{self._close}{quoted(finish)}}}]{self._about}}}\n\n"
        if usage is not None:
            chunk += f"{self._usage}{_usage(usage)}{self._about}}}\n\n"
        return f"{chunk}data: [DONE]\n\n".encode()

    def whole(self, text: str, finish: str, usage: tuple[int, int]) -> bytes:
        """The response to a request that does not stream."""
        kind = '"chat.completion"' if self._chat else '"text_completion"'
        answer = f'"message":{{"role":"assistant","content":{quoted(text)},"refusal":null}}'
        answer = answer if self._chat else f'"text":{quoted(text)}'
        choice = f'{{"index":0,{answer},"logprobs":null,"finish_reason":{quoted(finish)}}}'
        return (
            f'{{"object":{kind},{self._head},"choices":[{choice}],"usage":{_usage(usage)}{self._about}}}'
        ).encode()


def provenance_headers(provenance: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """`x-rlpersona-run` and `x-rlpersona-persona`, percent-encoded UTF-8, where they apply."""
    return [
        (f"x-rlpersona-{name}".encode(), quote(str(provenance[name]), safe=" ,.-_").encode())
        for name in ("run", "persona")
        if provenance.get(name) is not None
    ]


def status_of(error: PersonaError) -> int:
    """The HTTP status of an error."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_body(error: PersonaError) -> tuple[int, bytes]:
    """Status and body of an error, in OpenAI's shape: what happened, and how to fix it."""
    status = status_of(error)
    kind = "invalid_request_error" if status < 500 else "server_error"
    message = f"{error.message} {error.hint}".strip()
    code = "model_not_found" if isinstance(error, UnknownModelError) else CODES.get(status)
    shape = {"message": message, "type": kind, "param": getattr(error, "param", None), "code": code}
    return status, json.dumps({"error": shape}).encode()


def stream_error(error: PersonaError) -> bytes:
    """The event that ends a stream which failed after it had begun."""
    return b"data: " + error_body(error)[1] + b"\n\n"


def model_list(names: Iterable[str]) -> bytes:
    """The body of GET /v1/models."""
    return json.dumps({"object": "list", "data": [model_card(name) for name in names]}).encode()


def model_card(name: str) -> dict[str, Any]:
    """One model of the list."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "rlpersona"}


def _usage(tokens: tuple[int, int]) -> str:
    asked, given = tokens
    return f'{{"prompt_tokens":{asked},"completion_tokens":{given},"total_tokens":{asked + given}}}'


def _messages(value: Any) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise BadRequestError(
            "messages is missing or no list", 'Send [{"role": "user", "content": "..."}].', "messages"
        )
    if len(value) > MAX_MESSAGES:
        raise BadRequestError(
            f"{len(value)} messages, at most {MAX_MESSAGES} are taken", param="messages"
        )
    return tuple(_message(turn, f"messages[{at}]") for at, turn in enumerate(value))


def _message(turn: Any, where: str) -> Message:
    if not isinstance(turn, dict) or turn.get("role") not in ROLES:
        raise BadRequestError(
            f"{where} has no role of {', '.join(ROLES)}", 'Send {"role": ..., "content": "..."}.', where
        )
    content = turn.get("content")
    if isinstance(content, list):  # the parts of the newer form; only text can be read here
        parts = [part.get("text") for part in content if _is_text(part)]
        content = "".join(parts) if len(parts) == len(content) else None
    if not isinstance(content, str):
        raise BadRequestError(
            f"{where}.content is no text", "Send a string, or parts of type text.", f"{where}.content"
        )
    role = "system" if turn["role"] == "developer" else turn["role"]
    return Message(cast(Role, role), _clean(content, where))


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _text(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or not value:
        raise BadRequestError("prompt is missing or no text", "Send one string.", "prompt")
    return _clean(value, "prompt")


def _clean(text: str, where: str) -> str:
    """The text, if UTF-8 can hold it: JSON may smuggle in half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRequestError(f"{where} holds half of a surrogate pair", param=where) from None
    return text


def _stops(value: Any) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else ([] if value is None else value)
    if not isinstance(stops, list) or len(stops) > MAX_STOPS:
        raise BadRequestError(
            f"stop={_shown(value)} is no string or list of at most {MAX_STOPS}", param="stop"
        )
    if not all(isinstance(stop, str) and 0 < len(stop) <= 256 for stop in stops):
        raise BadRequestError("stop holds something else than strings of 1 to 256 letters", param="stop")
    return tuple(_clean(stop, "stop") for stop in stops)


def _field(body: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise BadRequestError(f"{name}={_shown(value)} is no {kind.__name__}", param=name)
    return value


def _number(
    body: Mapping[str, Any], name: str, default: float, low: float, high: float, whole: bool = False
) -> float:
    value = body.get(name)
    if value is None:
        return default
    right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not right or not low <= value <= high:  # NaN lies in no range
        kind = "whole number" if whole else "number"
        raise BadRequestError(
            f"{name}={_shown(value)} is no {kind} from {low:g} to {high:g}", "Correct it.", name
        )
    return cast(float, value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
