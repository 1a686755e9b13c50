"""What the two batch APIs have in common: a batch as the provider tells of it, and the results in it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rlpersona.errors import CallError, JudgeError, Kind
from rlpersona.types import ApiCall, ApiReply

UPLOAD_S = 900.0  # seconds for a request that carries a whole batch
DOWNLOAD_S = 3600.0
CONTROL_S = 60.0  # and for any other


@dataclass(frozen=True, slots=True)
class Remote:
    """A batch as its provider tells of it. Times are in Unix seconds by the provider's clock.

    `refused` means that no row of it was run, for the reason in `kind` and `message`. `rows` may be 0
    until the provider has counted them; `answered` is how many rows have an answer in the results.
    `mark` is our own name of the batch, empty where the API keeps none; `files` hold the results.
    """

    id: str
    state: Literal["running", "ended", "cancelled", "refused"]
    created: float
    ended: float | None = None
    rows: int = 0
    answered: int = 0
    mark: str = ""
    kind: Kind | None = None
    message: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one row; its custom id is the key of the call."""

    key: str
    answer: ApiReply | CallError


class Service(Protocol):
    """The batches of one account. Belongs to one event loop; every method may raise CallError."""

    max_rows: int
    max_bytes: int

    def line(self, call: ApiCall) -> bytes:
        """The row of a call as JSON. Its custom id is `call.key`: both APIs take 64 characters."""
        ...

    async def upload(self, name: str, lines: Sequence[bytes]) -> str:
        """Bring the rows there without having them run; what `submit` needs to find them."""
        ...

    async def submit(self, name: str, uploaded: str, lines: Sequence[bytes]) -> str:
        """Make the batch, which is paid for from here on; its id."""
        ...

    async def look(self, batch: str) -> Remote:
        """The batch as it is."""
        ...

    async def recent(self, since: float) -> list[Remote]:
        """The account's batches that were made since then."""
        ...

    async def owns(self, remote: Remote, name: str, keys: Collection[str]) -> bool | None:
        """Whether a batch is the one called `name` with those rows (None: not told yet)."""
        ...

    def results(self, remote: Remote) -> AsyncGenerator[Result, None]:
        """The rows of a batch that has ended, in any order."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def service_for(provider: str, base_url: str, key: str) -> Service:
    """The batch service of `openai` or `anthropic`; JudgeError for any other name."""
    if provider == "openai":
        from rlpersona.judges.batch_openai import OpenAIBatches

        return OpenAIBatches(base_url, key)
    if provider == "anthropic":
        from rlpersona.judges.batch_anthropic import AnthropicBatches

        return AnthropicBatches(base_url, key)
    raise JudgeError(f"'{provider}' has no batches", "Those with batches: openai, anthropic.")


def encoded(row: dict[str, Any]) -> bytes:
    """A row as a line of JSON, in ASCII: nothing in it can be taken for the end of a line."""
    return json.dumps(row, separators=(",", ":")).encode("ascii")


async def lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """The lines of a JSONL download, blank ones left out.

    Lines end at LF only. `str.splitlines` and what HTTP clients make of it also split at U+2028 and
    U+0085, which JSON strings may hold.
    """
    rest: list[bytes] = []
    async for chunk in chunks:
        *whole, last = chunk.split(b"\n")
        for part in whole:
            line = b"".join([*rest, part])
            rest = []
            if line.strip():
                yield line
        rest.append(last)
    if line := b"".join(rest).strip():
        yield line


def unrun(reason: str, detail: str = "") -> CallError:
    """The error of a row that the provider did not run, and did not bill."""
    if reason == "expired":
        return CallError("the batch expired before this request was run", kind="timeout")
    return CallError(f"this request was not run: {reason} {detail}".rstrip(), kind="server")
