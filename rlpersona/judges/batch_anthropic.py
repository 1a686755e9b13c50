"""Anthropic's Message Batches: rows go up in one request, results come down as JSONL.

The API keeps no mark of ours on a batch; it is found again by its custom ids, which can be read once it
has ended. https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from rlpersona.errors import CallError
from rlpersona.judges.batch_wire import (
    CONTROL_S,
    DOWNLOAD_S,
    UPLOAD_S,
    Remote,
    Result,
    encoded,
    lines,
    unrun,
)
from rlpersona.models.api.anthropic import ADDRESS, read_reply, request_body
from rlpersona.models.api.failures import calling, decoded, malformed, status_error
from rlpersona.types import ApiCall, ApiReply

PAGE = 100
STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBatches:
    """Implements `judges.batch_wire.Service` for Anthropic and servers of its format."""

    max_rows, max_bytes = 100_000, 256_000_000

    def __init__(self, base_url: str, key: str) -> None:
        from anthropic import APIError, AsyncAnthropic, DefaultAioHttpClient

        self._key, self._error = key, APIError
        self._client = AsyncAnthropic(
            api_key=key,
            base_url=(base_url or ADDRESS).rstrip("/").removesuffix("/v1"),
            max_retries=0,
            http_client=DefaultAioHttpClient(),
        )

    def line(self, call: ApiCall) -> bytes:
        """One request of the batch."""
        return encoded({"custom_id": call.key, "params": request_body(call)})

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        """Nothing: the rows travel with `submit`."""
        return ""

    async def submit(self, name: str, uploaded: str, lines: Sequence[bytes]) -> str:
        """Make a batch of the rows."""
        rows = [json.loads(line) for line in lines]
        async with calling(UPLOAD_S, self._key, self._error):
            raw = await self._client.messages.batches.with_raw_response.create(
                requests=rows, timeout=UPLOAD_S
            )
            return _remote(decoded(await raw.read())).id

    async def look(self, batch: str) -> Remote:
        """The batch as it is."""
        async with calling(CONTROL_S, self._key, self._error):
            raw = await self._client.messages.batches.with_raw_response.retrieve(
                batch, timeout=CONTROL_S
            )
            return _remote(decoded(await raw.read()))

    async def recent(self, since: float) -> list[Remote]:
        """Batches made since then; the API lists the newest first."""
        found: list[Remote] = []
        more = True
        while more and (not found or found[-1].created >= since):
            after: dict[str, Any] = {"after_id": found[-1].id} if found else {}
            async with calling(CONTROL_S, self._key, self._error):
                raw = await self._client.messages.batches.with_raw_response.list(
                    limit=PAGE, timeout=CONTROL_S, **after
                )
                page = decoded(await raw.read())
            rows = page.get("data") or []
            found += [_remote(row) for row in rows]
            more = bool(page.get("has_more") and rows)
        return [remote for remote in found if remote.created >= since]

    async def owns(self, remote: Remote, name: str, keys: Collection[str]) -> bool | None:
        """The custom ids tell, which a batch of another size need not be asked for."""
        if remote.rows != len(keys):
            return False
        if remote.state == "running":
            return None
        async with aclosing(self.results(remote)) as results:
            return {result.key async for result in results} == set(keys)

    async def results(self, remote: Remote) -> AsyncGenerator[Result, None]:
        """The rows of a batch that has ended."""
        if not remote.files:
            raise CallError(f"the results of {remote.id} are no longer kept", kind="request", status=404)
        async with (
            calling(DOWNLOAD_S, self._key, self._error),
            self._client.messages.batches.with_streaming_response.results(
                remote.id, timeout=DOWNLOAD_S
            ) as response,
        ):
            async for line in lines(response.iter_bytes()):
                yield _result(json.loads(line))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _remote(body: dict[str, Any]) -> Remote:
    try:
        counts = {name: int(count) for name, count in body["request_counts"].items()}
        ended = body["processing_status"] == "ended"
        stopped = ended and counts.get("canceled", 0) > 0
        return Remote(
            id=str(body["id"]),
            state="cancelled" if stopped else "ended" if ended else "running",
            created=_time(body["created_at"]),
            ended=_time(body["ended_at"]) if body.get("ended_at") else None,
            rows=sum(counts.values()),
            answered=counts.get("succeeded", 0),
            files=(str(body["results_url"]),) if body.get("results_url") else (),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise malformed(body) from None


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _result(row: dict[str, Any]) -> Result:
    """What a line of the results says."""
    answer: ApiReply | CallError
    try:
        result = row["result"]
        if result["type"] == "succeeded":
            try:
                answer = read_reply(result["message"], str(result["message"].get("id") or ""))
            except CallError as error:
                answer = error
        elif result["type"] == "errored":
            body = result["error"]
            answer = status_error(STATUS.get(str((body.get("error") or {}).get("type")), 500), body)
        else:
            answer = unrun(result["type"])
        return Result(str(row["custom_id"]), answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise malformed(row) from None
