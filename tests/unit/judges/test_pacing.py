"""The pacer in virtual time against a limiter of the other kind (a bucket), and sums by hand."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.judges.pacing import CATCH_UP, FIRST_REPLY, SHARE, SHUT, Pacer
from rlpersona.models.api import Limits
from tests.unit.judges.virtual_time import run


@dataclass
class Limited:
    """A provider that lets `rpm` requests a minute through, `burst` of them at once."""

    rpm: float
    burst: float
    latency: float = 0.2
    headers: bool = False
    starts: list[float] = field(default_factory=list)
    refused: int = 0
    level: float = field(init=False)
    filled: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    async def ask(self, pacer: Pacer) -> None:
        """One call, asked again until it is let through."""
        while True:
            begun = await pacer.turn(1)
            self.starts.append(begun)
            self.level = min(self.burst, self.level + (begun - self.filled) * self.rpm / 60)
            self.filled = begun
            allowed = self.level >= 1
            self.level -= allowed
            await asyncio.sleep(self.latency if allowed else 0.01)
            if allowed:
                pacer.heard(Limits(requests_limit=int(self.rpm)) if self.headers else Limits())
                return
            self.refused += 1
            pacer.refused(begun, None)

    async def ask_all(self, pacer: Pacer, calls: int, in_flight: int = 64) -> float:
        """Answers a minute."""
        gate = asyncio.Semaphore(in_flight)

        async def one() -> None:
            async with gate:
                await self.ask(pacer)

        await asyncio.gather(*(one() for _ in range(calls)))
        return 60 * calls / asyncio.get_running_loop().time()


def test_starts_are_spread_evenly() -> None:
    async def starts() -> list[float]:
        pacer = Pacer(requests_per_minute=600)
        await asyncio.sleep(5)
        return [await pacer.turn(0) for _ in range(100)]

    times = run(starts())
    after = times[int(CATCH_UP * 10) + 1 :]
    gaps = [later - earlier for earlier, later in pairwise(after)]
    assert gaps == pytest.approx([0.1 / SHARE] * len(gaps))


def test_tokens_hold_back_as_requests_do() -> None:
    async def third() -> float:
        pacer = Pacer(requests_per_minute=6000, tokens_per_minute=60_000)
        await asyncio.sleep(5)
        await pacer.turn(2000)
        await pacer.turn(500)
        return await pacer.turn(10) - 5

    # 2,500 tokens at 1,000 a second, .98 of it used, less what may be caught up with.
    assert run(third()) == pytest.approx(2.5 / SHARE - CATCH_UP)


def test_the_first_call_goes_alone_until_it_is_answered() -> None:
    async def times(answered: float | None) -> list[float]:
        pacer = Pacer()
        turns = [asyncio.create_task(pacer.turn(1)) for _ in range(10)]
        if answered is not None:
            await asyncio.sleep(answered)
            pacer.heard(Limits(requests_limit=60))
        return [await turn for turn in turns]

    told = run(times(answered=1.0))
    assert told[0] == 0
    assert told[1:] == pytest.approx([1 + n / SHARE - min(n, CATCH_UP) for n in range(9)], abs=1)
    assert told[-1] - told[-2] == pytest.approx(1 / SHARE)
    assert run(times(answered=None)) == pytest.approx([0.0] + [FIRST_REPLY] * 9)


@pytest.mark.parametrize(("after", "shut"), [(7.0, 7.0), (None, SHUT), (0.0, 0.0)])
def test_a_429_shuts_the_gate_for_all(after: float | None, shut: float) -> None:
    async def times() -> list[float]:
        pacer = Pacer(requests_per_minute=6000)
        begun = await pacer.turn(1)
        waiting = [asyncio.create_task(pacer.turn(1)) for _ in range(20)]
        await asyncio.sleep(0.001)
        pacer.refused(begun, after)
        return [await turn for turn in waiting]

    # Up to CATCH_UP seconds' worth may have gone before the 429 came.
    late = [time for time in run(times()) if time > 0.001]
    assert all(time >= 0.001 + shut for time in late)


def test_refusals_of_one_wave_cut_the_pace_once() -> None:
    async def paces() -> list[float]:
        pacer = Pacer(requests_per_minute=6000)
        begun = [await pacer.turn(1) for _ in range(50)]
        seen = []
        for start in begun:
            pacer.refused(start, None)
            seen.append(pacer.requests_per_minute(asyncio.get_running_loop().time()))
        return seen

    paces_seen = run(paces())
    assert len(set(paces_seen)) == 1
    assert paces_seen[0] < 0.81 * SHARE * 6000


def test_told_limits_are_used_without_a_refusal() -> None:
    provider = Limited(rpm=1800, burst=30, headers=True)
    rate = run(provider.ask_all(Pacer(), 3000))
    assert provider.refused == 0
    assert rate >= 0.97 * 1800


def test_untold_limits_are_found() -> None:
    provider = Limited(rpm=1800, burst=30)
    rate = run(provider.ask_all(Pacer(), 6000))
    assert rate >= 0.85 * 1800
    assert provider.refused <= 0.03 * 6000


def test_no_limit_is_no_brake() -> None:
    provider = Limited(rpm=1e9, burst=1e9)
    rate = run(provider.ask_all(Pacer(), 3000))
    assert rate >= 0.97 * 64 / 0.2 * 60


def test_an_empty_allowance_gets_a_moment() -> None:
    async def gap() -> float:
        pacer = Pacer(requests_per_minute=60)
        await pacer.turn(1)
        await asyncio.sleep(10)
        pacer.heard(Limits(requests_limit=60, requests_left=0))
        return await pacer.turn(1) - 10

    assert run(gap()) == pytest.approx(1 / SHARE)


@settings(max_examples=40, deadline=None)
@given(
    rpm=st.floats(30, 5000),
    latencies=st.lists(st.floats(0, 3), min_size=1, max_size=5),
    stalls=st.lists(st.floats(0, 5), max_size=4),
)
def test_no_window_holds_more_than_its_share(
    rpm: float, latencies: list[float], stalls: list[float]
) -> None:
    async def starts() -> list[float]:
        pacer, seen = Pacer(requests_per_minute=rpm), []
        for n in range(60):
            if n % 15 == 0 and n // 15 < len(stalls):
                await asyncio.sleep(stalls[n // 15])
            seen.append(await pacer.turn(1))
            await asyncio.sleep(latencies[n % len(latencies)] if n % 7 == 0 else 0)
        return seen

    times = run(starts())
    for first in range(0, 60, 5):
        for last in range(first + 1, 60):
            window = times[last] - times[first]
            assert last - first + 1 <= (window + CATCH_UP) * rpm / 60 + 2
