"""Room for work: bounded, in order, and never waiting for what will not come."""

from __future__ import annotations

import threading
import time

from rlpersona.runtime.room import Room
from tests.support import wait_until


class Worker:
    """Holds room in a thread until it is told to stop."""

    def __init__(self, room: Room, cpus: float, gpus: float = 0) -> None:
        self.inside, self.stop = threading.Event(), threading.Event()

        def work() -> None:
            with room.hold(cpus, gpus):
                self.inside.set()
                self.stop.wait(60)

        self.thread = threading.Thread(target=work, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.thread.join(60)


def waiting(worker: Worker) -> bool:
    time.sleep(0.05)
    return not worker.inside.is_set()


def test_what_fits_works_at_once_and_what_does_not_waits() -> None:
    room = Room({"CPU": 2, "GPU": 1})
    first, second = Worker(room, 1, 1), Worker(room, 1)
    assert first.inside.wait(60)
    assert second.inside.wait(60)
    third = Worker(room, 0.5)
    assert waiting(third)
    second.end()
    assert third.inside.wait(60)
    on_gpu = Worker(room, 0, 1)
    assert waiting(on_gpu), "CPUs are free, the GPU is not"
    first.end()
    assert on_gpu.inside.wait(60)


def test_turns_are_in_the_order_of_asking() -> None:
    room = Room({"CPU": 2})
    first = Worker(room, 1)
    assert first.inside.wait(60)
    large = Worker(room, 2)
    assert waiting(large)
    small = Worker(room, 1)
    assert waiting(small), "it would fit, but the large one would then wait for ever"
    first.end()
    assert large.inside.wait(60)
    large.end()
    assert small.inside.wait(60)


def test_what_is_larger_than_everything_gets_its_turn_alone() -> None:
    room = Room({"CPU": 2})
    first = Worker(room, 1)
    assert first.inside.wait(60)
    huge = Worker(room, 16)
    assert waiting(huge)
    first.end()
    assert huge.inside.wait(60)
    huge.end()


def test_room_is_given_back_after_an_error() -> None:
    room = Room({"CPU": 1})
    try:
        with room.hold(1):
            raise InterruptedError
    except InterruptedError:
        pass
    after = Worker(room, 1)
    wait_until(after.inside.is_set, 60)
