"""A pool of replicas: the same object in several Ray actors, calls spread over them, deaths repaired."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rlpersona.errors import ReplicaError, first_line
from rlpersona.runtime.replica import Part, Replica, start_replica, unwrap
from rlpersona.runtime.room import refuse_too_much

T = TypeVar("T")

SLOW_START = 20  # seconds without any replica after which a log line says what is waited for

log = logging.getLogger(__name__)


@dataclass
class _Work:
    """The parts of one call: not sent yet, sent (by result reference), sent in vain."""

    method: str
    parts: Iterator[tuple[int, Part]]
    sent: dict[Any, tuple[int, Part, Replica]] = field(default_factory=dict)
    again: deque[tuple[int, Part]] = field(default_factory=deque)
    load: Counter[Replica] = field(default_factory=Counter)

    def next(self) -> tuple[int, Part] | None:
        return self.again.popleft() if self.again else next(self.parts, None)


class ReplicaPool(Generic[T]):
    """`replicas` Ray actors, each holding one object that `factory` made in its process.

    Needs a running Ray (`ray_session`). Each replica reserves `cpus` and `gpus`, and has at most
    `in_flight` parts of a call under way, so that it never waits and memory stays bounded. A replica
    that dies is replaced and its unfinished parts are done again: methods must be safe to repeat.
    Several threads may call `map` and `stream` at a time; a replica does one part after another.

    Raises:
        ReplicaError: more than `max_restarts` deaths in the pool's life, more replicas than this
            machine has room for, or none up after `start_timeout` seconds.
        Whatever `factory` raises.
    """

    def __init__(
        self,
        factory: Callable[[], T],
        *,
        replicas: int = 1,
        cpus: float = 1,
        gpus: float = 0,
        max_restarts: int = 3,
        in_flight: int = 2,
        start_timeout: float = 600,
    ) -> None:
        import ray

        if not ray.is_initialized():
            raise RuntimeError("a ReplicaPool needs a running Ray: open it inside ray_session()")
        self._factory, self._cpus, self._gpus = factory, cpus, gpus
        self._max_restarts = max_restarts
        self._in_flight = in_flight
        self._start_timeout = start_timeout
        self._deaths = 0
        self._lock = threading.Lock()
        refuse_too_much(replicas, cpus, gpus, "replicas", "replica")
        self._replicas = [start_replica(factory, cpus, gpus) for _ in range(replicas)]
        try:
            while building := self._building():
                self._wait([replica.building for replica in building], patient=False)
                self._welcome(building)
        except BaseException:
            self.close()
            raise

    def map(
        self, method: str, parts: Iterable[Part], on_result: Callable[[int, Any], None] | None = None
    ) -> list[Any]:
        """`[object.method(*part) for part in parts]`, in the order of the parts.

        `on_result(index, result)` is called as each part is done, in whatever order that happens.
        """
        results: dict[int, Any] = {}
        for index, result in self.stream(method, parts):
            results[index] = result
            if on_result is not None:
                on_result(index, result)
        return [results[index] for index in range(len(results))]

    def stream(self, method: str, parts: Iterable[Part]) -> Iterator[tuple[int, Any]]:
        """`(index, result)` of every part as it is done; parts are taken only as replicas get free.

        An exception that the method raises is raised here, as itself. What is still under way then,
        or when the caller stops early, is done in vain.
        """
        if not self._replicas:
            raise RuntimeError("this pool is closed")
        work = _Work(method, iter(enumerate(parts)))
        try:
            while self._send(work):
                building = self._building()
                unborn = [ref for replica in building if (ref := replica.building) is not None]
                for ref in self._wait([*work.sent, *unborn]) if work.sent or unborn else ():
                    if ref in work.sent:
                        yield from self._collect(work, ref)
                self._welcome(building)
        finally:
            # What is under way is left to end: ray.cancel of a part that waits leaves a gap in the order
            # of the actor's calls, over which Ray 2.60 waits 30 s and then takes the replica for dead.
            for _, _, replica in work.sent.values():
                self._ended(work, replica)

    def pids(self) -> list[int]:
        """Process ids of the replicas; 0 for one that is being replaced."""
        return [replica.pid for replica in self._replicas]

    def close(self) -> None:
        """Stop the replicas and give their resources back. Safe to call twice."""
        import ray

        for replica in self._replicas:
            ray.kill(replica.actor)
        self._replicas = []

    def __enter__(self) -> ReplicaPool[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, work: _Work) -> bool:
        """Give parts to the least busy replicas; False when nothing is left to wait for."""
        up = [replica for replica in self._replicas if replica.building is None]
        while up:
            free = [replica for replica in up if work.load[replica] < self._in_flight]
            item = work.next() if free else None
            if item is None:
                break
            replica = self._least_busy(work, free)
            ref = replica.actor.call.remote(work.method, item[1])
            work.sent[ref] = (*item, replica)
        return bool(work.sent or work.again or not up)

    def _least_busy(self, work: _Work, free: list[Replica]) -> Replica:
        """The one that has the least to do, with a call more noted: no other thread comes between."""
        with self._lock:
            replica = min(free, key=lambda replica: replica.load)
            work.load[replica] += 1
            replica.load += 1
        return replica

    def _ended(self, work: _Work, replica: Replica) -> None:
        with self._lock:
            work.load[replica] -= 1
            replica.load -= 1

    def _collect(self, work: _Work, ref: Any) -> Iterator[tuple[int, Any]]:
        """The result behind `ref`, or none if its replica died: then the part is to be done again."""
        import ray

        index, part, replica = work.sent.pop(ref)
        self._ended(work, replica)
        try:
            outcome = ray.get(ref)
        except deaths() as error:
            work.again.append((index, part))
            self._replace(replica, error)
            return
        yield index, unwrap(outcome)

    def _building(self) -> list[Replica]:
        return [replica for replica in self._replicas if replica.building is not None]

    def _welcome(self, building: list[Replica]) -> None:
        """Take in the replicas whose object is made by now; replace those that died over it."""
        import ray

        for replica in building:
            ref = replica.building
            if ref is None or not ray.wait([ref], timeout=0)[0]:  # another thread was first; not yet
                continue
            try:
                outcome = ray.get(ref)
            except deaths() as error:
                self._replace(replica, error)
                continue
            replica.pid, replica.building = unwrap(outcome), None

    def _replace(self, replica: Replica, error: Exception) -> None:
        with self._lock:
            self._replace_once(replica, error)

    def _replace_once(self, replica: Replica, error: Exception) -> None:
        import ray

        if replica not in self._replicas:  # its other parts told already
            return
        self._deaths += 1
        ray.kill(replica.actor)
        if self._deaths > self._max_restarts:
            raise ReplicaError(
                f"{self._deaths} replicas died, {self._max_restarts} may: {first_line(error)}",
                "Out of memory is the usual cause: fewer replicas, smaller batch_tokens or chunk, or a "
                "smaller model; raise max_restarts where machines come and go.",
            ) from error
        log.warning("replica %d died and is replaced (%d so far)", replica.pid, self._deaths)
        fresh = start_replica(self._factory, self._cpus, self._gpus)
        self._replicas[self._replicas.index(replica)] = fresh

    def _wait(self, refs: list[Any], patient: bool = True) -> list[Any]:
        """References that are ready, at least one. The wait has an end if no replica is at work."""
        import ray

        if patient and any(replica.building is None for replica in self._replicas):
            return list(ray.wait(refs)[0])
        ready = ray.wait(refs, timeout=min(SLOW_START, self._start_timeout))[0]
        if not ready:
            log.warning("waiting for replicas: %s", self._demand())
            ready = ray.wait(refs, timeout=self._start_timeout)[0]
        if not ready:
            raise ReplicaError(
                f"a replica did not come up in {self._start_timeout:.0f} s: {self._demand()}",
                "Free some, or lower replicas=, cpus_per_replica= or gpus_per_replica=.",
            )
        return list(ready)

    def _demand(self) -> str:
        import ray

        have, free = ray.cluster_resources(), ray.available_resources()
        return "; ".join(
            f"each reserves {each:g} {kind}, {free.get(kind, 0):g} of {have.get(kind, 0):g} are free"
            for kind, each in (("CPU", self._cpus), ("GPU", self._gpus))
            if each
        )


def deaths() -> tuple[type[Exception], ...]:
    """What Ray raises when the process or the machine of a replica is gone."""
    from ray import exceptions

    return (
        exceptions.RayActorError,
        exceptions.WorkerCrashedError,
        exceptions.OutOfMemoryError,
        exceptions.NodeDiedError,
        exceptions.ObjectLostError,
    )
