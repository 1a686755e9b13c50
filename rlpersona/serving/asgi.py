"""What ASGI apps here share: types, whole bodies and responses, and noticing that a client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from types import TracebackType
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")


class Gone(Exception):
    """The client went away before its request was whole."""


async def respond(send: Send, status: int, body: bytes, headers: Headers | None = None) -> None:
    """A whole response at once, JSON unless `headers` say otherwise."""
    extra = headers or []
    kind = [] if any(name == b"content-type" for name, _ in extra) else [JSON]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*kind, length, *extra]})
    await send({"type": "http.response.body", "body": body})


async def read_body(receive: Receive) -> bytes:
    """The whole body (Gone if the client leaves before it is complete)."""
    parts = []
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Gone
        parts.append(event.get("body", b""))
        if not event.get("more_body", False):
            return b"".join(parts)


class while_connected:
    """Break the block off as soon as the client goes away; what follows it goes on."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._left = task, False
        self._watch = asyncio.create_task(_until_gone(self._receive))
        self._watch.add_done_callback(self._leave)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._watch.remove_done_callback(self._leave)
        self._watch.cancel()
        return self._left and self._task.uncancel() == 0 and kind is asyncio.CancelledError

    def _leave(self, watch: asyncio.Task[None]) -> None:
        if not watch.cancelled() and watch.exception() is None:
            self._left = True
            self._task.cancel()


async def lifespan(receive: Receive, send: Send) -> None:
    """Agree to start and to stop."""
    with suppress(asyncio.CancelledError):
        while (event := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{event['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
