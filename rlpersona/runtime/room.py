"""Room for work that reserves CPUs and GPUs: what cannot fit is refused, what can waits for its turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rlpersona.errors import ReplicaError

KINDS = ("CPU", "GPU")


def refuse_too_much(count: int, cpus: float, gpus: float, what: str, each: str) -> None:
    """ReplicaError where Ray runs on this machine alone and lacks the room; a cluster may grow.

    `what` names those that are to be started, `each` the setting of what one of them reserves.
    """
    import ray

    if any(node["NodeManagerAddress"] != "127.0.0.1" for node in ray.nodes()):  # see session.LOOPBACK
        return
    for kind, reserved in (("CPU", cpus), ("GPU", gpus)):
        have = ray.cluster_resources().get(kind, 0)
        if count * reserved > have:
            raise ReplicaError(
                f"{count} {what} with {reserved:g} {kind} each do not fit: Ray has {have:g} {kind}",
                f"Lower {each}s= or {kind.lower()}s_per_{each}=.",
            )


class Room:
    """What Ray has, handed out to the threads of one driver in the order in which they ask.

    Ray itself would start a part of the workers of two jobs and let both wait for the rest. Needs a
    running Ray (`ray_session`) where `have` is not given. What is larger than all there is gets its
    turn alone: a cluster may grow for it, and who starts it says what is missing.
    """

    def __init__(self, have: Mapping[str, float] | None = None) -> None:
        self._have = have
        self._held = dict.fromkeys(KINDS, 0.0)
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, cpus: float, gpus: float = 0) -> Iterator[None]:
        """Wait for so much room, and keep it while the block works."""
        wanted, ticket = {"CPU": cpus, "GPU": gpus}, object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._changed.wait_for(lambda: self._queue[0] is ticket and self._fits(wanted))
                self._add(wanted, 1)
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._add(wanted, -1)
                self._changed.notify_all()

    def _fits(self, wanted: Mapping[str, float]) -> bool:
        have = self._resources()
        return not any(self._held.values()) or all(
            self._held[kind] + wanted[kind] <= have.get(kind, 0) + 1e-9 for kind in KINDS
        )

    def _resources(self) -> Mapping[str, float]:
        """All that there is, asked anew each time: clusters grow."""
        if self._have is not None:
            return self._have
        import ray

        resources: dict[str, float] = ray.cluster_resources()
        return resources

    def _add(self, wanted: Mapping[str, float], sign: int) -> None:
        for kind in KINDS:
            self._held[kind] = max(0.0, self._held[kind] + sign * wanted[kind])
