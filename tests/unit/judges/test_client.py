"""The client against a real server: the asker runs on a thread's event loop, as it does in an actor."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rlpersona.errors import CostError, JudgeError, StorageError
from rlpersona.judges.client import Asker, Endpoint, JudgeClient
from rlpersona.judges.ledger import Ledger, Outcome
from rlpersona.judges.prices import worst_case
from rlpersona.judges.retry import RetryPolicy
from rlpersona.runtime.fanout import Crew
from rlpersona.types import ApiCall, Message, Sampling
from tests.judge_server import Server, judge_server

QUICK = RetryPolicy(base_s=0.01, cap_s=0.05, timeout_s=2.0)


class Thread:
    """`client.Workers` on an event loop in a thread of this process."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._crew, self._fresh, self._tickets = Crew(), [], set[Hashable]()
        self.pid = self._run(self._crew.build(partial(Asker, endpoint)))
        self.asked: list[ApiCall] = []

    @property
    def under_way(self) -> int:
        return len(self._tickets)

    def put(self, ticket: Hashable, item: ApiCall) -> None:
        assert ticket not in self._tickets
        self._tickets.add(ticket)
        self._fresh.append((ticket, item))
        self.asked.append(item)

    def take(self, timeout: float) -> Sequence[tuple[Hashable, Outcome]]:
        fresh, self._fresh = self._fresh, []
        done = self._run(self._crew.exchange(fresh, timeout, 4, 0.001))
        self._tickets -= {ticket for ticket, _ in done}
        return done

    def close(self) -> None:
        self._run(self._crew._work.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@pytest.fixture(scope="module")
def shared_server() -> Iterator[Server]:
    with judge_server() as server:
        yield server


@pytest.fixture
def server(shared_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-no-worth")
    calm: dict[str, Any] = {
        "latency": 0.0,
        "rpm": None,
        "burst": None,
        "headers": True,
        "retry_after": None,
        "script": (),
        "when": {},
        "shares": {},
        "paths": {},
    }
    shared_server.faults(**calm)
    shared_server.reset()
    return shared_server


@contextmanager
def client_of(
    server: Server, path: Path, max_cost: float | None = None, **settings: Any
) -> Iterator[JudgeClient]:
    endpoint = Endpoint("openai", server.base_url, **{"policy": QUICK, **settings})
    workers = Thread(endpoint)
    try:
        with Ledger.open(path / "ledger.db") as ledger:
            yield JudgeClient(endpoint, workers, ledger, max_cost)
    finally:
        workers.close()


def judge_calls(server: Server, n: int, model: str = "gpt-4o") -> list[ApiCall]:
    sampling = Sampling(max_tokens=50)
    return [
        ApiCall("openai", model, (Message("user", f"pair {i}"),), sampling, server.base_url)
        for i in range(n)
    ]


def test_outcomes_stand_in_the_order_of_the_calls(server: Server, tmp_path: Path) -> None:
    calls = judge_calls(server, 200)
    calls = [*calls, *calls[50:70], calls[0]]
    done: list[int] = []
    with client_of(server, tmp_path) as client:
        outcomes = client.ask(calls, done.append)
    assert [outcome.call for outcome in outcomes] == calls
    assert all(outcome.reply and outcome.failure is None for outcome in outcomes)
    assert sum(done) == 200
    stats = server.stats()
    assert (len(stats.billed), stats.billed_twice, stats.requests) == (200, 0, 200)


def test_nothing_is_paid_for_twice(server: Server, tmp_path: Path) -> None:
    calls = judge_calls(server, 60)
    with client_of(server, tmp_path) as client:
        first = client.ask(calls[:40])
        cost = sum(outcome.cost for outcome in first)
    with client_of(server, tmp_path) as client:
        again = client.ask(calls)
        assert [outcome.reply for outcome in again[:40]] == [outcome.reply for outcome in first]
        assert all(not outcome.attempts for outcome in again[:40])
    with Ledger.open(tmp_path / "ledger.db", read_only=True) as ledger:
        assert ledger.totals().calls == 60
        assert ledger.cost() == pytest.approx(cost + sum(outcome.cost for outcome in again[40:]))
    assert server.stats().requests == 60


def test_faults_lose_nothing(server: Server, tmp_path: Path) -> None:
    server.faults(shares={"500": 0.1, "reset": 0.05, "garbage": 0.05, "truncated": 0.05})
    server.faults(paths={"POST /v1/chat/completions": ["429"]}, retry_after="0.2")
    policy = RetryPolicy(
        base_s=0.01, cap_s=0.05, timeout_s=2.0, attempts={**QUICK.attempts, "server": 9}
    )
    with client_of(server, tmp_path, policy=policy) as client:
        outcomes = client.ask(judge_calls(server, 150))
        assert [outcome.failure for outcome in outcomes] == [None] * 150
        assert client._ledger.totals().attempts == server.stats().requests > 150


@pytest.mark.parametrize("headers", [True, False])
def test_a_rate_limit_loses_nothing(server: Server, tmp_path: Path, headers: bool) -> None:
    server.faults(rpm=3000, burst=1, headers=headers, retry_after="exact")
    with client_of(server, tmp_path) as client:
        outcomes = client.ask(judge_calls(server, 120))
    assert all(outcome.reply for outcome in outcomes)
    stats = server.stats()
    assert stats.billed_twice == 0
    assert stats.statuses.get("429", 0) <= (2 if headers else 60)


def test_dead_letters_are_kept_and_asked_again_only_where_that_helps(
    server: Server, tmp_path: Path
) -> None:
    server.faults(when={"pair 1": "length", "pair 2": "500", "pair 3": "filter", "pair 4": "blocked"})
    calls = judge_calls(server, 9)
    with client_of(server, tmp_path) as client:
        kinds = [outcome.failure for outcome in client.ask(calls)]
        assert kinds == [None, "cutoff", "server", "filter", "filter", *[None] * 4]
    server.reset()
    server.faults(when={})
    with client_of(server, tmp_path) as client:
        kinds = [outcome.failure for outcome in client.ask(calls)]
        assert kinds == [None, "cutoff", None, "filter", "filter", *[None] * 4]
    assert server.stats().requests == 1


@pytest.mark.parametrize(
    ("word", "said"), [("401", "key"), ("quota", "credit"), ("400", "request"), ("404", "request")]
)
def test_what_stops_a_run(server: Server, tmp_path: Path, word: str, said: str) -> None:
    server.faults(when={"pair 30": word}, latency=0.02)
    calls = judge_calls(server, 300)
    with client_of(server, tmp_path, in_flight=8, ahead=4) as client:
        with pytest.raises(JudgeError, match=said) as caught:
            client.ask(calls)
        assert "--resume" in caught.value.hint
        assert client.workers.under_way == 0
        totals = client._ledger.totals()
    billed = len(server.stats().billed)
    assert totals.calls - totals.failures == billed
    assert 20 <= billed <= 60
    server.faults(when={})
    with client_of(server, tmp_path) as client:
        assert all(outcome.reply for outcome in client.ask(calls))
    assert server.stats().billed_twice == 0


def test_a_dead_provider_ends_the_run_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-no-worth")
    nobody = Server("http://127.0.0.1:9/v1")
    with client_of(nobody, tmp_path, in_flight=8, ahead=0) as client:
        with pytest.raises(JudgeError, match=r"no answer.*no reply"):
            client.ask(judge_calls(nobody, 500))
        assert client._ledger.totals().failures <= 32


def test_the_cap_holds_and_the_run_goes_on_with_a_higher_one(server: Server, tmp_path: Path) -> None:
    calls = judge_calls(server, 120)
    worst = worst_case(calls[0])
    assert worst is not None
    cap = 30 * worst
    with client_of(server, tmp_path, max_cost=cap) as client:
        with pytest.raises(CostError, match="cap"):
            client.ask(calls)
        spent = client._ledger.cost()
        assert cap - QUICK.most_bills * worst - 1e-6 <= spent <= cap
        assert client.cap.reserved == 0
    bill = server.stats()
    assert spent == pytest.approx((bill.input_tokens * 2.5 + bill.output_tokens * 10) / 1e6)
    with client_of(server, tmp_path, max_cost=1.0) as client:
        assert all(outcome.reply for outcome in client.ask(calls))
    assert server.stats().billed_twice == 0


def test_lost_replies_count_against_the_cap(server: Server, tmp_path: Path) -> None:
    server.faults(script=("cut", "cut"))
    calls = judge_calls(server, 60)
    worst = worst_case(calls[0])
    assert worst is not None
    with client_of(server, tmp_path, max_cost=40 * worst) as client, pytest.raises(CostError):
        client.ask(calls)
    bill = server.stats()
    assert (bill.input_tokens * 2.5 + bill.output_tokens * 10) / 1e6 <= 40 * worst
    assert bill.billed_twice > 0, "the lost ones were billed"


def test_a_cap_wants_prices(server: Server, tmp_path: Path) -> None:
    foreign = Server("http://judge.invalid/v1")
    calls = judge_calls(foreign, 3, model="nobody-knows-it")
    with client_of(server, tmp_path, max_cost=1.0) as client, pytest.raises(CostError, match="nobody"):
        client.ask(calls)
    assert server.stats().requests == 0


def test_a_full_disk_stops_the_run(server: Server, tmp_path: Path) -> None:
    calls = judge_calls(server, 400)
    with client_of(server, tmp_path, in_flight=8, ahead=8) as client:
        client.ask(calls[:20])
        database = client._ledger._database
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages + 20}")
        with pytest.raises(StorageError, match="space"):
            client.ask(calls)
        kept = client._ledger.totals().calls
    assert 20 < kept < 400
    with Ledger.open(tmp_path / "ledger.db") as ledger:
        assert ledger.totals().calls == kept == len(ledger.known([call.key for call in calls]))
    assert len(server.stats().billed) <= kept + 16


def test_a_missing_key_is_told_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("ANTHROPIC_API_KEY_FILE", raising=False)
    with pytest.raises(JudgeError, match="ANTHROPIC_API_KEY"):
        Asker(Endpoint("anthropic"))


def test_an_interrupt_keeps_what_is_under_way(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults(latency=0.05)
    calls = judge_calls(server, 100)
    with client_of(server, tmp_path, in_flight=8, ahead=8) as client:

        def interrupt(n: int) -> None:
            if client._ledger.totals().calls > 30:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            client.ask(calls, interrupt)
        totals = client._ledger.totals()
        assert totals.calls == len(server.stats().billed) < 100
        assert all(outcome.reply for outcome in client.ask(calls))
    assert server.stats().billed_twice == 0
