"""Many small asynchronous calls at once in one Ray actor; a dead actor is replaced, its calls repeated.

The driver hands items out and takes results in one exchange after the other. An exchange carries new
items there and whatever is done back, and waits for the first result, so that neither side polls and a
result seldom travels alone. What is handed out and not yet taken is what a crash can cost: callers bound
it by handing out only so much at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Hashable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from rlpersona.errors import ReplicaError, first_line
from rlpersona.runtime.pool import deaths
from rlpersona.runtime.replica import outcome_of, unwrap

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Work = Callable[[ItemT], Awaitable[ResultT]]

log = logging.getLogger(__name__)


class Fanout(Generic[ItemT, ResultT]):
    """`await work(item)` for many items at once, where `work` is what `factory` makes in the actor.

    Needs a running Ray (`ray_session`). `work` must be safe to repeat. After the first result an
    exchange waits up to `linger` seconds for a group of `group`, if there is anything to wait for. The
    actor reserves `cpus`: none by default, since it waits for the network most of the time.

    Raises:
        ReplicaError: the actor died more than `max_restarts` times.
        Whatever `factory` and `work` raise, as itself.
    """

    def __init__(
        self,
        factory: Callable[[], Work[ItemT, ResultT]],
        *,
        max_restarts: int = 3,
        cpus: float = 0,
        group: int = 16,
        linger: float = 0.25,
    ) -> None:
        import ray

        if not ray.is_initialized():
            raise RuntimeError("a Fanout needs a running Ray: open it inside ray_session()")
        self._factory, self._max_restarts = factory, max_restarts
        self._cpus, self._pack = cpus, (group, linger)
        self._deaths = 0
        self._items: dict[Hashable, ItemT] = {}
        self._fresh: list[Hashable] = []
        self._actor: Any = None
        self._building: Any = None
        self._exchange: Any = None
        self.pid = 0  # the actor's process, 0 until it is up
        self._start()

    @property
    def under_way(self) -> int:
        """How many items are handed out and not taken."""
        return len(self._items)

    def put(self, ticket: Hashable, item: ItemT) -> None:
        """Hand out an item; it leaves with the next `take`. No two under way have the same ticket."""
        if ticket in self._items:
            raise ValueError(f"{ticket!r} is under way already")
        self._items[ticket] = item
        self._fresh.append(ticket)

    def take(self, timeout: float) -> list[tuple[Hashable, ResultT]]:
        """Tickets and results that are done: at least one, unless `timeout` seconds go by without.

        The first call waits for the actor to come up as well. May be called again after an interrupt:
        what was on its way then is not lost.
        """
        import ray

        if self._actor is None:
            raise RuntimeError("this fan-out is closed")
        if not self._items:
            return []
        try:
            if self._building is not None:
                self.pid, self._building = unwrap(ray.get(self._building)), None
            if self._exchange is None:
                fresh = [(ticket, self._items[ticket]) for ticket in self._fresh]
                self._exchange = self._actor.exchange.remote(fresh, timeout, *self._pack)
                self._fresh = []
            done, self._exchange = ray.get(self._exchange), None
        except deaths() as error:
            self._replace(error)
            return []
        for ticket, _ in done:
            del self._items[ticket]
        return [(ticket, unwrap(outcome)) for ticket, outcome in done]

    def close(self) -> None:
        """Stop the actor; what is under way is given up. Safe to call twice."""
        import ray

        if self._actor is not None:
            ray.kill(self._actor)
        self._actor = None
        self._items, self._fresh = {}, []

    def __enter__(self) -> Fanout[ItemT, ResultT]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        import ray

        crew = ray.remote(Crew).options(num_cpus=self._cpus, max_restarts=0)
        self._actor, self.pid = crew.remote(), 0
        self._building, self._exchange = self._actor.build.remote(self._factory), None

    def _replace(self, error: Exception) -> None:
        """Another actor, which gets everything that is under way."""
        import ray

        self._deaths += 1
        ray.kill(self._actor)
        if self._deaths > self._max_restarts:
            raise ReplicaError(
                f"the actor that calls died {self._deaths} times, {self._max_restarts} may:"
                f" {first_line(error)}",
                "Out of memory is the usual cause: fewer calls in flight. What was recorded is kept.",
            ) from error
        log.warning("actor %d died and is replaced (%d so far)", self.pid, self._deaths)
        self._fresh = list(self._items)
        self._start()


class Crew:
    """What runs in the actor's process: all items at once on one event loop."""

    async def build(self, factory: Callable[[], Work[Any, Any]]) -> Any:
        """Make the work; the result is the process id, or a `Failure`."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._running = 0
        self._done: list[tuple[Hashable, Any]] = []
        self._some, self._enough = asyncio.Event(), asyncio.Event()

        def make() -> int:
            self._work = factory()
            return os.getpid()

        return outcome_of(make)

    async def exchange(
        self, items: Sequence[tuple[Hashable, Any]], timeout: float, group: int, linger: float
    ) -> list[tuple[Hashable, Any]]:
        """Begin items, and give back tickets and outcomes (results or `Failure`s) of what is done."""
        for ticket, item in items:
            task = asyncio.create_task(self._do(ticket, item))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._running += len(items)
        self._group = group
        if await _set(self._some, timeout):
            await _set(self._enough, linger)
        done, self._done = self._done, []
        self._some.clear()
        self._enough.clear()
        return done

    async def _do(self, ticket: Hashable, item: Any) -> None:
        try:
            result = await self._work(item)
        except Exception as error:  # the border between processes: raised again on the other side
            result = outcome_of(partial(_throw, error))
        self._done.append((ticket, result))
        self._some.set()
        self._running -= 1
        if len(self._done) >= self._group or not self._running:
            self._enough.set()


async def _set(event: asyncio.Event, seconds: float) -> bool:
    """Whether an event is set within so many seconds."""
    if not event.is_set():
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return False
    return True


def _throw(error: Exception) -> None:
    raise error
