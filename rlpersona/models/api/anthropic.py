"""Anthropic's messages, there and on servers that speak its format."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from rlpersona.models.api.failures import calling, decoded, malformed
from rlpersona.models.api.limits import Limits, read_limits
from rlpersona.types import ApiCall, ApiReply

ADDRESS = "https://api.anthropic.com"
ENDS = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "filter"}


class AnthropicProvider:
    """An account at Anthropic; implements `models.api.Provider`.

    A `base_url` may end in `/v1`, as it does for OpenAI's format.
    """

    def __init__(self, base_url: str, key: str) -> None:
        from anthropic import APIError, AsyncAnthropic, DefaultAioHttpClient

        self.base_url = (base_url or ADDRESS).rstrip("/").removesuffix("/v1")
        self._key, self._error = key, APIError
        self._client = AsyncAnthropic(
            api_key=key, base_url=self.base_url, max_retries=0, http_client=DefaultAioHttpClient()
        )

    def __repr__(self) -> str:
        return f"AnthropicProvider({self.base_url!r})"

    async def ask(self, call: ApiCall, timeout: float) -> tuple[ApiReply, Limits]:
        """One message (see `Provider.ask`)."""
        body = request_body(call)
        # The SDK knows no sampling settings; servers of its format other than Anthropic's do.
        extra = {name: body.pop(name) for name in ("temperature", "top_p") if name in body}
        async with calling(timeout, self._key, self._error):
            raw = await self._client.messages.with_raw_response.create(
                **body, extra_body=extra or None, timeout=timeout
            )
            content = await raw.read()
            reply = read_reply(decoded(content), raw.headers.get("request-id", ""))
            return reply, read_limits(raw.headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def request_body(call: ApiCall) -> dict[str, Any]:
    """The body of a message, also as a row of a batch.

    System messages become the `system` field. Anthropic's API takes no temperature, top_p or seed (since
    its version 2026-10-21 they are refused, at any value), so its answers are always sampled; other
    servers of its format are sent temperature and top_p unless they are 1. A schema is sent as
    structured output, in the part of JSON schema that it takes: the rest moves into the descriptions.
    """
    sampling = call.sampling
    body: dict[str, Any] = {
        "model": call.model,
        "max_tokens": sampling.max_tokens,
        "messages": [
            {"role": turn.role, "content": turn.content}
            for turn in call.messages
            if turn.role != "system"
        ],
    }
    system = [turn.content for turn in call.messages if turn.role == "system"]
    if system:
        body["system"] = "\n\n".join(system)
    takes_sampling = not is_anthropic(call.base_url)
    if takes_sampling and sampling.temperature != 1:
        body["temperature"] = sampling.temperature
    if takes_sampling and sampling.top_p != 1:
        body["top_p"] = sampling.top_p
    if call.schema:
        from anthropic import transform_schema

        schema = transform_schema(json.loads(call.schema))
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return body


def read_reply(body: dict[str, Any], request_id: str = "") -> ApiReply:
    """The reply in a message: its text blocks, joined (CallError if it is none).

    Cached input counts in full, so that a cost worked out from it is never too low.
    """
    try:
        usage = body.get("usage") or {}
        read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        return ApiReply(
            text="".join(block["text"] for block in body["content"] if block["type"] == "text"),
            finish=ENDS.get(body.get("stop_reason"), "stop"),  # type: ignore[arg-type]
            input_tokens=sum(int(usage.get(name) or 0) for name in read),
            output_tokens=int(usage.get("output_tokens") or 0),
            model=str(body.get("model") or ""),
            request_id=request_id,
        )
    except (KeyError, TypeError, AttributeError, ValueError):
        raise malformed(body) from None


def is_anthropic(base_url: str) -> bool:
    """Whether the address is Anthropic's own."""
    host = urlsplit(base_url or ADDRESS).hostname or ""
    return host == "anthropic.com" or host.endswith(".anthropic.com")
