"""OpenAI's chat completions, batch rows and embeddings, there and on servers that speak its format."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rlpersona.models.api.failures import calling, decoded, malformed
from rlpersona.models.api.limits import Limits, read_limits
from rlpersona.models.sampler import stream_seed
from rlpersona.types import ApiCall, ApiReply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ADDRESS = "https://api.openai.com/v1"


class OpenAIProvider:
    """An account at OpenAI, or at any server of its format; implements `models.api.Provider`."""

    def __init__(self, base_url: str, key: str) -> None:
        from openai import APIError, AsyncOpenAI, DefaultAioHttpClient

        self.base_url = base_url or ADDRESS
        self._key, self._error = key, APIError
        self._client = AsyncOpenAI(
            api_key=key, base_url=self.base_url, max_retries=0, http_client=DefaultAioHttpClient()
        )

    def __repr__(self) -> str:
        return f"OpenAIProvider({self.base_url!r})"

    async def ask(self, call: ApiCall, timeout: float) -> tuple[ApiReply, Limits]:
        """One chat completion (see `Provider.ask`)."""
        body = request_body(call)
        async with calling(timeout, self._key, self._error):
            raw = await self._client.chat.completions.with_raw_response.create(**body, timeout=timeout)
            reply = read_reply(decoded(raw.content), raw.headers.get("x-request-id", ""))
            return reply, read_limits(raw.headers)

    async def embed(self, texts: Sequence[str], model: str, timeout: float) -> NDArray[np.float32]:
        """Embeddings `[texts, dimensions]` of at most 2048 texts; errors as `ask`."""
        async with calling(timeout, self._key, self._error):
            raw = await self._client.embeddings.with_raw_response.create(
                input=list(texts), model=model, encoding_format="base64", timeout=timeout
            )
            return read_embeddings(decoded(raw.content), len(texts))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def request_body(call: ApiCall) -> dict[str, Any]:
    """The body of a chat completion, also as a row of a batch.

    Settings at the API's defaults (temperature 1, top_p 1) are left out: some models refuse them.
    Sampled calls send a 31-bit seed that differs by `sampling.offset` and `sample`. Servers other than
    OpenAI's know the token cap by its older name.
    """
    sampling = call.sampling
    cap = "max_completion_tokens" if is_openai(call.base_url) else "max_tokens"
    body: dict[str, Any] = {
        "model": call.model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in call.messages],
        cap: sampling.max_tokens,
    }
    if sampling.temperature != 1:
        body["temperature"] = sampling.temperature
    if sampling.top_p != 1:
        body["top_p"] = sampling.top_p
    if sampling.temperature > 0:
        body["seed"] = stream_seed(sampling.seed, sampling.offset + call.sample) >> 32
    if call.schema:
        schema = {"name": "reply", "strict": True, "schema": json.loads(call.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def read_reply(body: dict[str, Any], request_id: str = "") -> ApiReply:
    """The reply in a chat completion (CallError if it is none)."""
    try:
        choice, usage = body["choices"][0], body.get("usage") or {}
        message, finish = choice["message"], choice.get("finish_reason")
        refusal = message.get("refusal")
        ends = {"length": "length", "content_filter": "filter"}
        return ApiReply(
            text=str(refusal or message.get("content") or ""),
            finish="filter" if refusal else ends.get(finish, "stop"),  # type: ignore[arg-type]
            input_tokens=int(usage.get("prompt_tokens") or 0),
            output_tokens=int(usage.get("completion_tokens") or 0),
            model=str(body.get("model") or ""),
            request_id=request_id,
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        raise malformed(body) from None


def read_embeddings(body: dict[str, Any], count: int) -> NDArray[np.float32]:
    """The `count` rows of an embeddings response, base64 of float32 or numbers (CallError if not)."""
    import numpy as np

    try:
        data = sorted(body["data"], key=lambda row: row["index"])
        rows = [
            np.frombuffer(base64.b64decode(row["embedding"]), dtype="<f4")
            if isinstance(row["embedding"], str)
            else np.asarray(row["embedding"], dtype="<f4")
            for row in data
        ]
        if len(rows) == count:
            return np.stack(rows).astype(np.float32)
    except (KeyError, TypeError, ValueError):
        pass
    raise malformed(body)


def is_openai(base_url: str) -> bool:
    """Whether the address is OpenAI's own."""
    host = urlsplit(base_url or ADDRESS).hostname or ""
    return host == "openai.com" or host.endswith(".openai.com")
