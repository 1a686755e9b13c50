"""Batches at a real server of both formats: half the price, each row paid once, whatever gets lost."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from rlpersona.errors import CostError, JudgeError
from rlpersona.judges.batch import BatchClient
from rlpersona.judges.batch_book import BatchBook
from rlpersona.judges.batch_transfer import Pace
from rlpersona.judges.batch_wire import service_for
from rlpersona.judges.client import Endpoint
from rlpersona.judges.ledger import Ledger, Outcome
from rlpersona.judges.prices import cost_of, worst_case
from rlpersona.judges.retry import RetryPolicy
from rlpersona.models.api import provider_for
from rlpersona.types import ApiCall, Message, Sampling
from tests.judge_server import Faults, Server, judge_server

Name = Literal["openai", "anthropic"]
MODELS = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5"}
MAKE = {"openai": "POST /v1/batches", "anthropic": "POST /v1/messages/batches"}
FETCH = {"openai": "GET /v1/files/ID/content", "anthropic": "GET /v1/messages/batches/ID/results"}
QUICK = RetryPolicy(base_s=0.01, cap_s=0.02)
PACE = Pace(first_s=0.02, most_s=0.1, appears_s=0.2)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with judge_server() as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-openai")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-canary-anthropic")
    running.faults(**vars(Faults()))
    running.reset()
    return running


@pytest.fixture(params=["openai", "anthropic"])
def name(request: pytest.FixtureRequest) -> Name:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


def calls_to(server: Server, name: Name, count: int, text: str = "question") -> list[ApiCall]:
    """Calls that differ, one with separators in it that end a line for some."""
    odd = "\u2028 \u0085"
    return [
        ApiCall(
            name,
            MODELS[name],
            (Message("system", "Judge."), Message("user", f"{text} {n} {odd if n == 1 else ''}")),
            Sampling(max_tokens=50),
            server.base_url,
        )
        for n in range(count)
    ]


def client(server: Server, name: Name, ledger: Ledger, **named: Any) -> BatchClient:
    return BatchClient(Endpoint(name, server.base_url, policy=QUICK), ledger, pace=PACE, **named)


def good(outcomes: Sequence[Outcome], calls: Sequence[ApiCall]) -> bool:
    """Whether every call has its reply, in order."""
    return [o.call for o in outcomes] == list(calls) and all(o.failure is None for o in outcomes)


def test_a_batch_gives_the_replies_of_single_calls_at_half_their_price(
    server: Server, name: Name, ledger: Ledger
) -> None:
    calls, done = calls_to(server, name, 12), list[int]()
    found = client(server, name, ledger).ask([*calls, calls[3]], done.append)
    assert good(found, [*calls, calls[3]])
    assert found[3] is found[12]
    assert sum(done) == 12, "equal calls are one"

    async def single() -> list[Any]:
        provider = provider_for(name, server.base_url, "any")
        replies = [(await provider.ask(call, 10))[0] for call in calls]
        await provider.close()
        return replies

    singly = {reply.text: reply for reply in asyncio.run(single())}
    price = 0.0
    for outcome in found[:12]:
        reply = outcome.reply
        assert reply is not None
        assert replace(reply, request_id="") == replace(singly[reply.text], request_id="")
        price += cost_of(outcome.call, reply.input_tokens, reply.output_tokens) or 0.0
    assert len(singly) == 12
    assert ledger.cost() == pytest.approx(price / 2)
    assert price > 0
    before = server.stats().requests
    assert [o.reply for o in client(server, name, ledger).ask(calls)] == [o.reply for o in found[:12]]
    assert server.stats().requests == before, "what is known needs no request"
    assert server.stats().batches == 1


@pytest.mark.parametrize("word", ["expired", "500", "429"])
def test_only_rows_that_failed_are_sent_again(
    server: Server, name: Name, ledger: Ledger, word: str
) -> None:
    server.faults(shares={word: 0.25}, seed=3)
    calls = calls_to(server, name, 20)
    assert good(client(server, name, ledger).ask(calls), calls)
    stats = server.stats()
    assert stats.batches in (2, 3)
    assert stats.billed_twice == 0
    assert len(stats.billed) == 20
    tried = stats.attempts.values()
    assert 20 < sum(tried) < 40, "and not all of them"
    _, attempts = ledger.tables()
    assert len(attempts) == sum(tried), "every attempt is kept"
    assert attempts["number"].max() == max(tried)
    assert attempts["cost"].sum() == pytest.approx(ledger.cost())


def test_a_row_that_always_fails_is_a_dead_letter_in_the_end(
    server: Server, name: Name, ledger: Ledger
) -> None:
    server.faults(when={"question 2": "500", "question 1": "filter", "question 3": "length"})
    calls, done = calls_to(server, name, 5), list[int]()
    found = client(server, name, ledger).ask(calls, done.append)
    assert [o.failure for o in found] == [None, "filter", "server", "cutoff", None]
    assert found[3].reply is not None, "a reply that was cut is kept"
    assert sum(done) == 5
    assert server.stats().batches == 3, "it was tried three times, the others once"
    assert server.stats().billed_twice == 0
    assert len(ledger.failed([call.key for call in calls])) == 3


def test_a_request_that_is_refused_stops_the_run_and_the_others_are_kept(
    server: Server, name: Name, ledger: Ledger
) -> None:
    server.faults(when={"question 2": "400"})
    calls = calls_to(server, name, 5)
    with pytest.raises(JudgeError, match="planted 400") as caught:
        client(server, name, ledger, resume="label --resume").ask(calls)
    assert "label --resume" in caught.value.hint
    assert len(ledger.known([call.key for call in calls])) == 4


@pytest.mark.parametrize("word", ["cut", "500", "429", "reset", "garbage"])
def test_a_batch_whose_making_went_wrong_is_made_once(
    server: Server, name: Name, ledger: Ledger, word: str
) -> None:
    """`cut`: the batch is made, its reply is lost."""
    server.faults(paths={MAKE[name]: [word]})
    calls = calls_to(server, name, 6)
    assert good(client(server, name, ledger).ask(calls), calls)
    assert server.stats().batches == 1
    assert server.stats().billed_twice == 0


def test_a_batch_that_came_in_spite_of_all_errors_is_collected_by_the_next_run(
    server: Server, name: Name, ledger: Ledger
) -> None:
    """Its reply gets lost, and then even the list of batches."""
    index = MAKE[name].replace("POST", "GET")
    server.faults(paths={MAKE[name]: ["cut"], index: ["500"] * 5})
    calls = calls_to(server, name, 3)
    with pytest.raises(JudgeError, match="planted 500"):
        client(server, name, ledger).ask(calls)
    assert good(client(server, name, ledger).ask(calls), calls)
    assert server.stats().batches == 1


@pytest.mark.parametrize("word", ["half", "short", "cut", "reset", "503"])
def test_a_download_that_breaks_off_is_made_again(
    server: Server, name: Name, ledger: Ledger, word: str
) -> None:
    server.faults(paths={FETCH[name]: [word, word]})
    calls, done = calls_to(server, name, 9), list[int]()
    assert good(client(server, name, ledger).ask(calls, done.append), calls)
    assert sum(done) == 9
    assert server.stats().batches == 1
    assert ledger.totals().attempts == 9


def test_results_that_stay_short_are_no_success(server: Server, name: Name, ledger: Ledger) -> None:
    server.faults(paths={FETCH[name]: ["short"] * 20})
    with pytest.raises(JudgeError):
        client(server, name, ledger).ask(calls_to(server, name, 9))
    assert server.stats().batches == 1, "rows that were paid for are not sent again"
    server.faults(paths={})
    calls = calls_to(server, name, 9)
    assert good(client(server, name, ledger).ask(calls), calls)
    assert server.stats().batches == 1


@pytest.mark.parametrize(("word", "says"), [("401", "401"), ("quota", "quota|credit"), ("400", "400")])
def test_a_refusal_of_the_batch_stops_and_leaves_nothing_behind(
    server: Server, name: Name, ledger: Ledger, word: str, says: str
) -> None:
    server.faults(paths={MAKE[name]: [word]})
    calls = calls_to(server, name, 3)
    with pytest.raises(JudgeError, match=says) as caught:
        client(server, name, ledger).ask(calls)
    assert "canary" not in repr(caught.value) + caught.value.hint
    assert server.stats().batches == 0
    assert good(client(server, name, ledger).ask(calls), calls)


def test_batches_of_another_life_are_collected_whatever_is_asked(
    server: Server, name: Name, ledger: Ledger
) -> None:
    first, second = calls_to(server, name, 4), calls_to(server, name, 4, "another")
    server.faults(batch_seconds=60)

    async def left_behind() -> None:
        from rlpersona.judges.batch_transfer import Transfer

        service, book = service_for(name, server.base_url, "key"), BatchBook(ledger)
        endpoint = Endpoint(name, server.base_url, policy=QUICK)
        transfer = Transfer(service, book, ledger, endpoint, PACE)
        await transfer.send(book.plan(name, server.base_url, first))
        book.plan(name, server.base_url, second)  # written down, and not sent
        await service.close()
        book.close()

    asyncio.run(left_behind())
    server.faults(batch_seconds=0)
    assert good(client(server, name, ledger).ask(second), second)
    assert server.stats().batches == 2
    assert len(ledger.known([call.key for call in first])) == 4
    assert good(client(server, name, ledger).ask(first), first)
    assert server.stats().batches == 2


def test_a_batch_that_appears_late_is_found(server: Server, ledger: Ledger) -> None:
    """The request of a process that was killed is still on its way when the next one looks."""
    calls = calls_to(server, "openai", 4)
    book = BatchBook(ledger)
    plan = book.sending(book.plan("openai", server.base_url, calls))
    book.close()

    def make() -> None:
        async def made() -> None:
            service = service_for("openai", server.base_url, "key")
            rows = [service.line(call) for call in calls]
            uploaded = await service.upload(plan.name, rows)
            await asyncio.sleep(0.3)
            await service.submit(plan.name, uploaded, rows)
            await service.close()

        asyncio.run(made())

    late = threading.Thread(target=make)
    late.start()
    patient = client(server, "openai", ledger)
    patient.pace = replace(PACE, appears_s=20.0)
    assert good(patient.ask(calls), calls)
    late.join()
    assert server.stats().batches == 1


def test_a_batch_of_somebody_else_is_not_taken(server: Server, name: Name, ledger: Ledger) -> None:
    """As many rows, made at the same time, some of them the same."""
    ours, theirs = calls_to(server, name, 4), calls_to(server, name, 5)[1:]

    async def foreign() -> None:
        service = service_for(name, server.base_url, "key")
        rows = [service.line(call) for call in theirs]
        await service.submit("theirs", await service.upload("theirs", rows), rows)
        await service.close()

    asyncio.run(foreign())
    book = BatchBook(ledger)
    book.sending(book.plan(name, server.base_url, ours))
    book.close()
    assert good(client(server, name, ledger).ask(ours), ours)
    assert server.stats().batches == 2


def test_large_jobs_are_split(server: Server, name: Name, ledger: Ledger) -> None:
    calls = calls_to(server, name, 11)
    other = [replace(call, model=call.model + "-2026-01-01") for call in calls[:3]]
    assert good(client(server, name, ledger, max_rows=5).ask([*calls, *other]), [*calls, *other])
    assert server.stats().batches == 4, "5 + 5 + 1, and 3 of another model"
    assert server.stats().billed_twice == 0


def test_a_full_queue_makes_batches_smaller(server: Server, ledger: Ledger) -> None:
    server.faults(batch_queue=3)
    calls = calls_to(server, "openai", 12)
    assert good(client(server, "openai", ledger).ask(calls), calls)
    assert server.stats().billed_twice == 0
    assert server.stats().batches == 6, "of 12 and 6, refused, then four of 3"
    server.faults(batch_queue=0)
    more = calls_to(server, "openai", 4, "more")
    with pytest.raises(JudgeError, match="Enqueued token limit"):
        client(server, "openai", ledger).ask(more)
    assert len(server.stats().billed) == 12


def test_a_cancelled_batch_stops_and_the_next_run_sends_the_rest(
    server: Server, name: Name, ledger: Ledger
) -> None:
    server.faults(batch_seconds=60)
    calls = calls_to(server, name, 4)

    def cancel() -> None:
        import urllib.request

        while not server.stats().batches:
            time.sleep(0.02)
        path = "/batches/batch_0001" if name == "openai" else "/messages/batches/msgbatch_0001"
        headers = {"Authorization": "Bearer x"}
        request = urllib.request.Request(f"{server.base_url}{path}/cancel", b"", headers)
        urllib.request.urlopen(request).read()

    hand = threading.Thread(target=cancel)
    hand.start()
    with pytest.raises(JudgeError, match="was cancelled"):
        client(server, name, ledger).ask(calls)
    hand.join()
    server.faults(batch_seconds=0)
    assert good(client(server, name, ledger).ask(calls), calls)
    assert server.stats().billed_twice == 0


def test_the_cost_cap_holds(server: Server, name: Name, ledger: Ledger) -> None:
    calls = calls_to(server, name, 20)
    worst = (worst_case(calls[0]) or 0.0) / 2
    done: list[int] = []
    with pytest.raises(CostError):
        client(server, name, ledger, max_cost=4.5 * worst).ask(calls, done.append)
    assert sum(done) >= 4
    assert len(server.stats().billed) == sum(done) < 20
    assert 3.5 * worst < ledger.cost() <= 4.5 * worst
    with pytest.raises(CostError):
        client(server, name, ledger, max_cost=0.5 * worst).ask(calls)
    strange = [replace(calls[0], model="unheard-of", base_url="https://example.org/v1")]
    with pytest.raises(CostError, match="No price"):
        client(server, name, ledger, max_cost=10).ask(strange)
    assert good(client(server, name, ledger).ask(calls), calls)
    assert server.stats().billed_twice == 0


def test_the_key_is_not_in_the_ledger(server: Server, name: Name, ledger: Ledger) -> None:
    client(server, name, ledger).ask(calls_to(server, name, 2))
    with sqlite3.connect(ledger.path) as database:
        assert "canary" not in "".join(database.iterdump())


def test_a_provider_without_batches_is_refused(ledger: Ledger) -> None:
    with pytest.raises(JudgeError):
        service_for("local", "", "key")
