"""Calls to a judge a second: our client beside raw aiohttp and beside the openai SDK as it comes.

    python benchmarks/judges.py [--calls 900] [--free-calls 2000] [--rounds 2]

All ask the same server, a process of its own on 127.0.0.1 that answers after 200 ms. Without a limit
(64 in flight) the yardstick is raw aiohttp in the same round; Ray is up and connections are warm. Under
a limit of 1,800 requests a minute, with 1 % of answers a 500 and 0.5 % garbage, the yardstick is the
arithmetic: every call and every repeated one takes a thirtieth of a second. The SDK keeps its own
retries (2), as a script would use it. Goodput counts usable answers; CPU is that of the processes that
call (ours: driver and actor, with the ledger).
Bars: >= 0.85 of raw aiohttp, <= 2 ms CPU a call; under the limit >= 0.95 of the attainable, none lost,
under 1 % of requests answered 429. Trust ratios within a round: the machine may be busy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rlpersona.judges.client import Endpoint
from rlpersona.judges.ledger import Ledger
from rlpersona.runtime.judging import judge_client
from rlpersona.runtime.session import ray_session
from rlpersona.types import ApiCall, Message, Sampling
from tests.judge_server import Server, judge_server

IN_FLIGHT, LATENCY, RPM = 64, 0.2, 1800
FAULTS = {"500": 0.01, "garbage": 0.005}
KEY = "sk-of-no-worth"
Way = Callable[[Sequence[ApiCall]], int]  # makes the calls; how many usable answers came


@dataclass
class Figure:
    """One way on one server."""

    name: str
    calls: int
    answered: int
    seconds: float
    cpu_ms: float
    requests: int
    refused: int

    @property
    def goodput(self) -> float:
        """Usable answers a second."""
        return self.answered / self.seconds


def judge_calls(n: int, tag: str, server: Server) -> list[ApiCall]:
    """Calls that are new to the server."""
    sampling = Sampling(max_tokens=50)
    return [
        ApiCall("openai", "gpt-4o-mini", (Message("user", f"{tag} {i}"),), sampling, server.base_url)
        for i in range(n)
    ]


def measure(
    name: str, way: Way, calls: Sequence[ApiCall], server: Server, pids: Sequence[int]
) -> Figure:
    """Run one way; `pids` are processes whose CPU time counts beside this one's."""
    import psutil

    def cpu() -> float:
        each = (psutil.Process(pid).cpu_times() for pid in (os.getpid(), *pids))
        return float(sum(times.user + times.system for times in each))

    server.reset()
    wall, busy = time.perf_counter(), cpu()
    answered = way(calls)
    wall, busy = time.perf_counter() - wall, cpu() - busy
    stats = server.stats()
    refused = stats.statuses.get("429", 0)
    return Figure(name, len(calls), answered, wall, 1e3 * busy / len(calls), stats.requests, refused)


def raw(calls: Sequence[ApiCall]) -> int:
    """aiohttp and nothing else: no retries, no records."""
    import aiohttp

    async def all_of_them() -> int:
        gate = asyncio.Semaphore(IN_FLIGHT)
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as client:

            async def one(call: ApiCall) -> bool:
                body = {"model": call.model, "messages": [{"role": "user", "content": prompt(call)}]}
                async with gate, client.post(f"{call.base_url}/chat/completions", json=body) as reply:
                    if reply.status != 200 or reply.content_type != "application/json":
                        return False
                    return bool((await reply.json())["choices"][0]["message"]["content"])

            return sum(await asyncio.gather(*map(one, calls)))

    return asyncio.run(all_of_them())


def sdk(calls: Sequence[ApiCall]) -> int:
    """The openai SDK as it comes: its transport, its two retries."""
    from openai import AsyncOpenAI, OpenAIError

    async def all_of_them() -> int:
        gate = asyncio.Semaphore(IN_FLIGHT)
        async with AsyncOpenAI(api_key=KEY, base_url=calls[0].base_url) as client:

            async def one(call: ApiCall) -> bool:
                async with gate:
                    try:
                        reply = await client.chat.completions.create(
                            model=call.model, messages=[{"role": "user", "content": prompt(call)}]
                        )
                        return bool(reply.choices[0].message.content)
                    except (OpenAIError, AttributeError):  # a page of HTML comes back as a string
                        return False

            return sum(await asyncio.gather(*map(one, calls)))

    return asyncio.run(all_of_them())


def prompt(call: ApiCall) -> str:
    return call.messages[0].content


def ours(n: int, tag: str, server: Server) -> Figure:
    """The judge's client with its ledger on the disk."""
    endpoint = Endpoint("openai", server.base_url, in_flight=IN_FLIGHT)
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger.open(Path(folder) / "ledger.db") as ledger,
        judge_client(endpoint, ledger) as client,
    ):
        client.ask(judge_calls(1, "warm", server))

        def way(calls: Sequence[ApiCall]) -> int:
            return sum(outcome.failure is None for outcome in client.ask(calls))

        return measure("rlpersona", way, judge_calls(n, tag, server), server, [client.workers.pid])


def compare(n: int, tag: str, **faults: object) -> list[Figure]:
    """All three on servers of the same kind."""
    figures = []
    with judge_server(latency=LATENCY, **faults) as server:
        figures.append(ours(n, tag, server))
    for name, way in (("raw aiohttp", raw), ("openai SDK, defaults", sdk)):
        with judge_server(latency=LATENCY, **faults) as server:
            figures.append(measure(name, way, judge_calls(n, tag, server), server, []))
    return figures


def attainable(figure: Figure) -> float:
    """Answers a second if no start is wasted: repeated calls count, refused ones do not."""
    return figure.calls / (figure.requests - figure.refused) * RPM / 60


def show(title: str, figures: Sequence[Figure], yardstick: str, best: float) -> None:
    print(f"\n{title}")
    print(f"{'':<22}{'answers/s':>10}{yardstick:>17}{'lost':>8}{'429':>8}{'CPU ms/call':>13}")
    for one in figures:
        lost, refused = 1 - one.answered / one.calls, one.refused / one.requests
        print(
            f"{one.name:<22}{one.goodput:>10.1f}{one.goodput / best:>17.3f}"
            f"{lost:>8.1%}{refused:>8.1%}{one.cpu_ms:>13.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=900, help="under the limit")
    parser.add_argument("--free-calls", type=int, default=2000, help="without a limit")
    parser.add_argument("--rounds", type=int, default=2, help="without a limit")
    options = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = KEY
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    with ray_session(cpus=2):
        for at in range(options.rounds):
            figures = compare(options.free_calls, f"free {at}")
            title = f"{options.free_calls} calls, {IN_FLIGHT} in flight, {LATENCY:g} s each, no limit"
            show(title, figures, "of raw aiohttp", figures[1].goodput)
        figures = compare(options.calls, "limited", rpm=RPM, burst=1, shares=FAULTS)
        title = f"{options.calls} calls under {RPM} a minute, 1 % 500s, 0.5 % garbage"
        show(title, figures, "of attainable", attainable(figures[0]))


if __name__ == "__main__":
    main()
