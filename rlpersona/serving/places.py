"""Places in the engine and in the queue before it; beyond both a request is sent away at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rlpersona.errors import ServeError


class Places:
    """`in_flight` requests at work, `queue` more that wait, first come first served."""

    def __init__(self, in_flight: int, queue: int) -> None:
        self._free = asyncio.Semaphore(in_flight)
        self._queue = queue
        self.waiting = self.working = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """A place for the length of the block (ServeError if even the queue is full)."""
        if self._free.locked():
            if self.waiting >= self._queue:
                raise ServeError(
                    f"{self.working} requests are being answered and {self.waiting} wait",
                    "Ask again in a moment.",
                )
            self.waiting += 1
            try:
                await self._free.acquire()
            finally:
                self.waiting -= 1
        else:
            await self._free.acquire()
        self.working += 1
        try:
            yield
        finally:
            self.working -= 1
            self._free.release()
