"""OpenAI's Batch API: rows go up as a file, results come down as one or two.

A batch carries our name for it in its metadata, so that it can be found again.
https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any, Final

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
from rlpersona.models.api.failures import calling, decoded, malformed, status_error
from rlpersona.models.api.openai import ADDRESS, read_reply, request_body
from rlpersona.types import ApiCall, ApiReply

PATH: Final = "/v1/chat/completions"
MARK = "rlpersona_batch"  # in the metadata
PAGE = 100
STATES = {"completed": "ended", "expired": "ended", "cancelled": "cancelled", "failed": "refused"}
QUEUE_FULL = "token_limit_exceeded"


class OpenAIBatches:
    """Implements `judges.batch_wire.Service` for OpenAI and servers of its format."""

    max_rows, max_bytes = 50_000, 200_000_000

    def __init__(self, base_url: str, key: str) -> None:
        from openai import APIError, AsyncOpenAI, DefaultAioHttpClient

        self._key, self._error = key, APIError
        self._client = AsyncOpenAI(
            api_key=key,
            base_url=base_url or ADDRESS,
            max_retries=0,
            http_client=DefaultAioHttpClient(),
        )

    def line(self, call: ApiCall) -> bytes:
        """One line of the input file."""
        return encoded(
            {"custom_id": call.key, "method": "POST", "url": PATH, "body": request_body(call)}
        )

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        """Upload the input file; its id."""
        file = (f"{name}.jsonl", b"\n".join(lines) + b"\n", "application/jsonl")
        async with calling(UPLOAD_S, self._key, self._error):
            raw = await self._client.files.with_raw_response.create(
                file=file, purpose="batch", timeout=UPLOAD_S
            )
            return _id(decoded(raw.content))

    async def submit(self, name: str, uploaded: str, lines: Sequence[bytes]) -> str:
        """Make a batch of the uploaded file."""
        async with calling(CONTROL_S, self._key, self._error):
            raw = await self._client.batches.with_raw_response.create(
                input_file_id=uploaded,
                endpoint=PATH,
                completion_window="24h",
                metadata={MARK: name},
                timeout=CONTROL_S,
            )
            return _id(decoded(raw.content))

    async def look(self, batch: str) -> Remote:
        """The batch as it is."""
        async with calling(CONTROL_S, self._key, self._error):
            raw = await self._client.batches.with_raw_response.retrieve(batch, timeout=CONTROL_S)
            return _remote(decoded(raw.content))

    async def recent(self, since: float) -> list[Remote]:
        """Batches made since then; the API lists the newest first."""
        found: list[Remote] = []
        more = True
        while more and (not found or found[-1].created >= since):
            after: dict[str, Any] = {"after": found[-1].id} if found else {}
            async with calling(CONTROL_S, self._key, self._error):
                raw = await self._client.batches.with_raw_response.list(
                    limit=PAGE, timeout=CONTROL_S, **after
                )
                page = decoded(raw.content)
            rows = page.get("data") or []
            found += [_remote(row) for row in rows]
            more = bool(page.get("has_more") and rows)
        return [remote for remote in found if remote.created >= since]

    async def owns(self, remote: Remote, name: str, keys: Collection[str]) -> bool | None:
        """The metadata tell."""
        return remote.mark == name

    async def results(self, remote: Remote) -> AsyncGenerator[Result, None]:
        """The rows of the output file and of the error file."""
        for file in remote.files:
            async with (
                calling(DOWNLOAD_S, self._key, self._error),
                self._client.files.with_streaming_response.content(file, timeout=DOWNLOAD_S) as response,
            ):
                async for line in lines(response.iter_bytes()):
                    yield _result(json.loads(line))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _id(body: dict[str, Any]) -> str:
    if not isinstance(body.get("id"), str):
        raise malformed(body)
    return str(body["id"])


def _remote(body: dict[str, Any]) -> Remote:
    try:
        counts = body.get("request_counts") or {}
        ends = ("completed_at", "expired_at", "cancelled_at", "failed_at")
        problems = (body.get("errors") or {}).get("data") or [{}]
        state = STATES.get(body["status"], "running")
        return Remote(
            id=str(body["id"]),
            state=state,  # type: ignore[arg-type]
            created=float(body["created_at"]),
            ended=next((float(body[end]) for end in ends if body.get(end)), None),
            rows=int(counts.get("total") or 0),
            answered=int(counts.get("completed") or 0),
            mark=(body.get("metadata") or {}).get(MARK, ""),
            kind=("rate" if problems[0].get("code") == QUEUE_FULL else "request")
            if state == "refused"
            else None,
            message=str(problems[0].get("message") or body["status"]),
            files=tuple(
                str(body[name]) for name in ("output_file_id", "error_file_id") if body.get(name)
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        raise malformed(body) from None


def _result(row: dict[str, Any]) -> Result:
    """What a line of the output or error file says."""
    answer: ApiReply | CallError
    try:
        response = row.get("response")
        if response:
            status, body = int(response["status_code"]), response["body"]
            try:
                answer = (
                    status_error(status, body)
                    if status >= 400
                    else read_reply(body, str(response.get("request_id") or ""))
                )
            except CallError as error:
                answer = error
        else:
            why = row.get("error") or {}
            answer = unrun(str(why.get("code")).removeprefix("batch_"), str(why.get("message")))
        return Result(str(row["custom_id"]), answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise malformed(row) from None
