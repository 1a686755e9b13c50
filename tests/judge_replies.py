"""What the judge server answers: the two wire formats, error bodies, rate-limit headers."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Limits = Mapping[str, tuple[int, int, float]]  # name -> limit a minute, left, seconds until full
SENTENCE = "the answer of this server is a plain sentence made from a hash and nothing more"
WORDS = SENTENCE.split()


@dataclass(frozen=True)
class Answer:
    """A response body and what it is billed for."""

    body: dict[str, Any]
    input_tokens: int
    output_tokens: int


class Bucket:
    """A limit of `per_minute` units that fills up steadily to `size` units."""

    def __init__(self, per_minute: float, size: float) -> None:
        self.per_minute, self.size, self.level = per_minute, size, size
        self._filled = time.monotonic()

    def wait(self, units: float) -> float:
        """Seconds until that many units are there: 0 if they are."""
        now = time.monotonic()
        self.level = min(self.size, self.level + (now - self._filled) * self.per_minute / 60)
        self._filled = now
        return max(0.0, (min(units, self.size) - self.level) * 60 / self.per_minute)

    def take(self, units: float) -> None:
        self.level -= min(units, self.size)

    @property
    def full_in(self) -> float:
        """Seconds until it is full."""
        return (self.size - self.level) * 60 / self.per_minute


class Format(Protocol):
    """One provider's wire format."""

    request_id: str

    def answer(self, body: Mapping[str, Any], word: str, fixed: str | None) -> Answer: ...
    def error(self, status: int, message: str) -> dict[str, Any]: ...
    def special(self, word: str) -> tuple[int, dict[str, Any]] | None: ...
    def limits(self, limits: Limits) -> dict[str, str]: ...
    def worst_case(self, body: Mapping[str, Any]) -> int: ...


class OpenAIFormat:
    """POST /v1/chat/completions."""

    request_id = "x-request-id"

    def answer(self, body: Mapping[str, Any], word: str, fixed: str | None) -> Answer:
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        text = reply_text(body, schema, word, fixed)
        cap = body.get("max_completion_tokens") or body.get("max_tokens") or 10**9
        text, cut = capped(text, cap)
        finish = {"length": "length", "filter": "content_filter"}.get(word, "length" if cut else "stop")
        used, made = tokens(body["messages"]), tokens(text)
        message = {"role": "assistant", "content": None if word == "empty" else text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        usage = {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}
        head = {"id": f"chatcmpl-{digest(body)[:12]}", "object": "chat.completion", "created": 0}
        return Answer(
            {**head, "model": body["model"] + "-served", "choices": [choice], "usage": usage}, used, made
        )

    def error(self, status: int, message: str) -> dict[str, Any]:
        code = {401: "invalid_api_key", 429: "rate_limit_exceeded", 404: "model_not_found"}.get(status)
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def special(self, word: str) -> tuple[int, dict[str, Any]] | None:
        if word == "quota":
            error = {"message": "You exceeded your current quota, please check your plan and billing."}
            return 429, {"error": {**error, "type": "insufficient_quota", "code": "insufficient_quota"}}
        if word == "blocked":
            error = {"message": "The prompt was filtered.", "param": "prompt"}
            return 400, {"error": {**error, "type": None, "code": "content_filter"}}
        return None

    def limits(self, limits: Limits) -> dict[str, str]:
        headers = {}
        for name, (limit, left, full_in) in limits.items():
            headers[f"x-ratelimit-limit-{name}"] = str(limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(left)
            headers[f"x-ratelimit-reset-{name}"] = duration(full_in)
        return headers

    def worst_case(self, body: Mapping[str, Any]) -> int:
        cap = body.get("max_completion_tokens") or body.get("max_tokens") or 0
        return tokens(body["messages"]) + int(cap)


class AnthropicFormat:
    """POST /v1/messages."""

    request_id = "request-id"

    def answer(self, body: Mapping[str, Any], word: str, fixed: str | None) -> Answer:
        schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
        text, cut = capped(reply_text(body, schema, word, fixed), body["max_tokens"])
        stop = {"length": "max_tokens", "filter": "refusal"}.get(
            word, "max_tokens" if cut else "end_turn"
        )
        used, made = tokens([body.get("system", ""), body["messages"]]), tokens(text)
        return Answer(
            {
                "id": f"msg_{digest(body)[:12]}",
                "type": "message",
                "role": "assistant",
                "model": body["model"] + "-served",
                "content": [] if word == "empty" else [{"type": "text", "text": text}],
                "stop_reason": stop,
                "stop_sequence": None,
                "usage": {"input_tokens": used, "output_tokens": made},
            },
            used,
            made,
        )

    def error(self, status: int, message: str) -> dict[str, Any]:
        names = {
            400: "invalid_request_error",
            401: "authentication_error",
            402: "billing_error",
            403: "permission_error",
            404: "not_found_error",
            413: "request_too_large",
            429: "rate_limit_error",
            529: "overloaded_error",
        }
        return {
            "type": "error",
            "error": {"type": names.get(status, "api_error"), "message": message},
            "request_id": "req_failed",
        }

    def special(self, word: str) -> tuple[int, dict[str, Any]] | None:
        if word == "quota":
            return 400, self.error(400, "Your credit balance is too low to access the Anthropic API.")
        if word == "blocked":
            return 400, self.error(400, "Output blocked by content filtering policy")
        return None

    def limits(self, limits: Limits) -> dict[str, str]:
        headers = {}
        for name, (limit, left, full_in) in limits.items():
            full = datetime.fromtimestamp(time.time() + full_in, UTC)
            headers[f"anthropic-ratelimit-{name}-limit"] = str(limit)
            headers[f"anthropic-ratelimit-{name}-remaining"] = str(left)
            headers[f"anthropic-ratelimit-{name}-reset"] = full.strftime("%Y-%m-%dT%H:%M:%SZ")
        return headers

    def worst_case(self, body: Mapping[str, Any]) -> int:
        return tokens([body.get("system", ""), body["messages"]]) + int(body["max_tokens"])


FORMATS: dict[str, Format] = {
    "/v1/chat/completions": OpenAIFormat(),
    "/v1/messages": AnthropicFormat(),
}


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def tokens(value: Any) -> int:
    """Four characters a token, as a rule of thumb."""
    return len(value if isinstance(value, str) else json.dumps(value)) // 4 + 1


def reply_text(body: Mapping[str, Any], schema: Any, word: str, fixed: str | None) -> str:
    """Text that depends on the messages only; an instance of the schema if there is one."""
    seed = digest(body["messages"])
    if word == "wrong":
        return "I would rather not say {"
    if fixed is not None:
        return fixed
    if schema:
        return json.dumps(instance(schema, seed))
    return " ".join(WORDS[int(digit, 16) % len(WORDS)] for digit in seed[:12])


def capped(text: str, cap: int) -> tuple[str, bool]:
    return (text[: 4 * cap - 4], True) if tokens(text) > cap else (text, False)


def instance(schema: Mapping[str, Any], seed: str) -> Any:
    """A value that a JSON schema allows, picked by the seed."""
    pick = int(digest([seed, schema])[:8], 16)
    if "enum" in schema:
        return schema["enum"][pick % len(schema["enum"])]
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "string")
    if kind == "object":
        return {name: instance(part, seed + name) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        length = schema.get("minItems", 1)
        return [instance(schema.get("items", {}), f"{seed}{at}") for at in range(length)]
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", 0), schema.get("maximum", 10)
        return low + pick % (int(high - low) + 1)
    return bool(pick % 2) if kind == "boolean" else f"because {seed[:6]}"


def duration(seconds: float) -> str:
    """A duration as OpenAI writes it: `1ms`, `6.5s`, `1m12s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:.3f}".rstrip("0").rstrip(".") + "s"


def vectors(texts: Sequence[str], size: int = 64) -> list[list[float]]:
    """Unit vectors of hashed words."""
    rows = []
    for text in texts:
        row = [0.0] * size
        for word in text.lower().split() or [""]:
            at = int(digest(word)[:8], 16)
            row[at % size] += 1.0 if at & 1024 else -1.0
        norm = math.sqrt(sum(x * x for x in row)) or 1.0
        rows.append([x / norm for x in row])
    return rows
