"""The fan-out on a real Ray: results, back-pressure, errors, and an actor that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from pathlib import Path

import pytest

from rlpersona.errors import DataError, ReplicaError
from rlpersona.runtime.fanout import Fanout


def doubling(delay: float, trace: Path | None = None) -> Callable[[int], Awaitable[int]]:
    """Makes the work: twice a number after a while; its start is noted in `trace`."""

    async def double(number: int) -> int:
        if trace is not None:
            with trace.open("a") as file:
                file.write(f"{number}\n")
        await asyncio.sleep(delay)
        if number == 13:
            raise DataError("13 brings bad luck", "Take another.")
        return 2 * number

    return double


def drain(fanout: Fanout[int, int], seconds: float = 60) -> dict[Hashable, int]:
    results: dict[Hashable, int] = {}
    end = time.monotonic() + seconds
    while fanout.under_way:
        assert time.monotonic() < end
        results.update(fanout.take(1.0))
    return results


def test_many_wait_together() -> None:
    with Fanout[int, int](partial(doubling, 0.5)) as fanout:
        fanout.put("warm", 1)
        assert drain(fanout) == {"warm": 2}
        began = time.monotonic()
        for number in range(100, 300):
            fanout.put(number, number)
        assert fanout.under_way == 200
        assert drain(fanout) == {number: 2 * number for number in range(100, 300)}
        assert time.monotonic() - began < 10, "one by one it would take 100 s"
        assert fanout.take(1.0) == []


def test_a_quiet_exchange_returns() -> None:
    with Fanout[int, int](partial(doubling, 1.5)) as fanout:
        fanout.put(1, 1)
        assert fanout.take(0.1) == []
        assert fanout.under_way == 1
        assert drain(fanout) == {1: 2}


def test_an_error_of_the_work_is_raised_as_itself() -> None:
    with Fanout[int, int](partial(doubling, 0.0)) as fanout:
        fanout.put("bad", 13)
        with pytest.raises(DataError, match="bad luck") as caught:
            drain(fanout)
        assert caught.value.hint == "Take another."
        fanout.put("good", 1)
        assert drain(fanout) == {"good": 2}


def unmakeable() -> Callable[[int], Awaitable[int]]:
    raise DataError("nothing to work with")


def test_an_error_of_the_factory_is_raised_as_itself() -> None:
    with Fanout[int, int](unmakeable) as fanout:
        fanout.put(1, 1)
        with pytest.raises(DataError, match="nothing to work with"):
            fanout.take(1.0)


def test_a_ticket_is_used_once_at_a_time() -> None:
    with Fanout[int, int](partial(doubling, 0.0)) as fanout:
        fanout.put(1, 1)
        with pytest.raises(ValueError, match="under way"):
            fanout.put(1, 2)


def test_a_killed_actor_is_replaced_and_only_its_unfinished_items_repeated(tmp_path: Path) -> None:
    trace = tmp_path / "begun"
    with Fanout[int, int](partial(doubling, 1.0, trace)) as fanout:
        for number in range(100, 110):
            fanout.put(number, number)
        results = drain(fanout)
        for number in range(110, 130):
            fanout.put(number, number)
        assert fanout.take(0.05) == []
        os.kill(fanout.pid, signal.SIGKILL)
        results |= drain(fanout)
    assert results == {number: 2 * number for number in range(100, 130)}
    begun = [int(line) for line in trace.read_text().split()]
    assert sorted(set(begun)) == list(range(100, 130))
    assert all(begun.count(number) == 1 for number in range(100, 110)), "what was taken stays done"


def test_an_actor_that_keeps_dying_is_given_up() -> None:
    with Fanout[int, int](partial(doubling, 5.0), max_restarts=1) as fanout:
        fanout.put(1, 1)
        with pytest.raises(ReplicaError, match="died 2 times"):
            while True:
                fanout.take(0.05)
                if fanout.pid:
                    os.kill(fanout.pid, signal.SIGKILL)
                    time.sleep(0.2)


def test_a_closed_fan_out_says_so() -> None:
    fanout = Fanout[int, int](partial(doubling, 0.0))
    fanout.close()
    fanout.close()
    with pytest.raises(RuntimeError, match="closed"):
        fanout.take(1.0)
