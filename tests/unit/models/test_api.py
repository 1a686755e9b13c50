"""Both SDKs against a real server with every fault that it has."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import pytest

from rlpersona.errors import CallError, JudgeError
from rlpersona.models.api import Limits, provider_for
from rlpersona.models.api.anthropic import request_body as anthropic_body
from rlpersona.models.api.limits import MAX_WAIT_S
from rlpersona.models.api.openai import request_body as openai_body
from rlpersona.types import ApiCall, ApiReply, Message, Sampling
from tests.judge_server import Server, judge_server
from tests.support import wait_until

KEY = "sk-canary-0123456789abcdef"
Name = Literal["openai", "anthropic"]
BOTH: list[Name] = ["openai", "anthropic"]
SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"winner": {"enum": ["A", "B", "tie"]}, "score": {"type": "integer"}},
        "required": ["winner", "score"],
        "additionalProperties": False,
    }
)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with judge_server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    running.reset()
    yield running
    running.faults(
        script=[],
        retry_after=None,
        retry_after_ms=None,
        rpm=None,
        tpm=None,
        burst=None,
        key="",
        latency=0,
    )


def call(name: Name, text: str = "Who wins?", **changes: Any) -> ApiCall:
    turns = (Message("system", "You are a judge."), Message("user", text))
    return replace(ApiCall(name, "judge-1", turns, Sampling(50)), **changes)


def ask(
    server: Server | str, one: ApiCall, timeout: float = 10, key: str = KEY
) -> tuple[ApiReply, Limits]:
    async def run() -> tuple[ApiReply, Limits]:
        provider = provider_for(
            one.provider, server if isinstance(server, str) else server.base_url, key
        )
        try:
            return await provider.ask(one, timeout)
        finally:
            await provider.close()

    return asyncio.run(run())


def failure(server: Server | str, one: ApiCall, timeout: float = 10, key: str = KEY) -> CallError:
    with pytest.raises(CallError) as caught:
        ask(server, one, timeout, key)
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", BOTH)
def test_a_reply_carries_text_end_tokens_and_names(server: Server, name: Name) -> None:
    reply, limits = ask(server, call(name))
    stats = server.stats()
    assert reply.text.count(" ") == 11
    assert (reply.finish, reply.model) == ("stop", "judge-1-served")
    assert reply.request_id.startswith("req_")
    assert (reply.input_tokens, reply.output_tokens) == (stats.input_tokens, stats.output_tokens)
    assert reply.output_tokens == len(reply.text) // 4 + 1
    assert limits == Limits()
    assert list(stats.billed.values()) == [1]


@pytest.mark.parametrize("name", BOTH)
def test_structured_output_is_an_instance_of_the_schema(server: Server, name: Name) -> None:
    answer = json.loads(ask(server, call(name, schema=SCHEMA))[0].text)
    assert set(answer) == {"winner", "score"}
    assert answer["winner"] in ("A", "B", "tie")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("word", "finish"),
    [("length", "length"), ("filter", "filter"), ("empty", "stop"), ("wrong", "stop")],
)
def test_replies_that_are_not_whole_still_come_with_their_bill(
    server: Server, name: Name, word: str, finish: str
) -> None:
    server.faults(script=[word])
    reply, _ = ask(server, call(name))
    assert reply.finish == finish
    assert reply.output_tokens > 0
    assert (reply.text == "") == (word == "empty")


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("word", "kind", "status"),
    [
        ("400", "request", 400),
        ("401", "auth", 401),
        ("402", "funds", 402),
        ("403", "auth", 403),
        ("404", "request", 404),
        ("413", "request", 413),
        ("422", "request", 422),
        ("429", "rate", 429),
        ("500", "server", 500),
        ("503", "server", 503),
        ("529", "server", 529),
        ("quota", "funds", None),
        ("blocked", "filter", 400),
        ("reset", "connection", None),
        ("cut", "connection", None),
        ("truncated", "connection", 200),
        ("garbage", "connection", 200),
    ],
)
def test_every_fault_has_its_kind(
    server: Server, name: Name, word: str, kind: str, status: int | None
) -> None:
    server.faults(script=[word])
    error = failure(server, call(name))
    assert error.kind == kind
    assert error.status == status or word == "quota"
    assert server.stats().requests == 1, "the SDK asked again"


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("word", ["slow", "hang"])
def test_a_reply_that_never_ends_ends_by_the_timeout(server: Server, name: Name, word: str) -> None:
    server.faults(script=[word], drip=0.05)
    started = time.monotonic()
    error = failure(server, call(name), timeout=0.6)
    assert error.kind == "timeout"
    assert 0.5 < time.monotonic() - started < 3
    if word == "slow":  # the connection was closed: the server notices when it writes on
        wait_until(lambda: server.stats().in_flight == 0, 5)


@pytest.mark.parametrize("name", BOTH)
def test_nobody_listens(name: Name) -> None:
    error = failure("http://127.0.0.1:9/v1", call(name))
    assert error.kind == "connection"
    assert "127.0.0.1" in str(error)
    assert error.hint


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize(
    ("sent", "seconds"), [("2", 2.0), (0, 0.0), (-5, None), (1e9, MAX_WAIT_S), (None, None)]
)
def test_retry_after_reaches_the_error(
    server: Server, name: Name, sent: str | float | None, seconds: float | None
) -> None:
    server.faults(script=["429"], retry_after=sent)
    assert failure(server, call(name)).retry_after == seconds


def test_retry_after_as_a_date_and_in_milliseconds(server: Server) -> None:
    server.faults(script=["429", "429"], retry_after="date")
    wait = failure(server, call("openai")).retry_after
    assert wait is not None
    assert 0 <= wait <= 2
    server.faults(retry_after_ms=40)
    assert failure(server, call("openai")).retry_after == 0.04


@pytest.mark.parametrize("name", BOTH)
def test_limits_are_read_and_kept_by_the_server(server: Server, name: Name) -> None:
    server.faults(rpm=60, tpm=6000, burst=3, retry_after="exact")
    _, limits = ask(server, call(name))
    assert (limits.requests_limit, limits.requests_left) == (60, 2)
    assert limits.tokens_limit == 6000
    assert limits.tokens_left is not None
    assert 0 < limits.tokens_left < 300
    assert limits.requests_reset_s is not None
    assert limits.requests_reset_s <= 1.01
    ask(server, call(name))
    ask(server, call(name))
    error = failure(server, call(name))
    assert error.kind == "rate"
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 1
    time.sleep(error.retry_after + 0.05)
    ask(server, call(name))


def test_many_calls_share_one_provider(server: Server) -> None:
    server.faults(latency=2)

    async def run() -> list[tuple[ApiReply, Limits]]:
        provider = provider_for("openai", server.base_url, KEY)
        calls = [call("openai", f"question {i}") for i in range(64)]
        try:
            return await asyncio.gather(*(provider.ask(one, 10) for one in calls))
        finally:
            await provider.close()

    replies = asyncio.run(run())
    stats = server.stats()
    assert len({reply.text for reply, _ in replies}) == 64
    assert stats.most_in_flight > 40
    assert (len(stats.billed), stats.billed_twice) == (64, 0)


@pytest.mark.parametrize("name", BOTH)
def test_the_key_shows_nowhere(server: Server, name: Name, caplog: pytest.LogCaptureFixture) -> None:
    import traceback

    caplog.set_level(logging.DEBUG)
    server.faults(key="another key", script=[])
    provider = provider_for(name, server.base_url, KEY)
    assert KEY not in repr(provider)
    asyncio.run(provider.close())
    assert failure(server, call(name)).kind == "auth"
    server.faults(key="", script=["500", "reset"])
    for kind in ("server", "connection"):
        error = failure(server, call(name))
        assert error.kind == kind
        assert KEY not in "".join(traceback.format_exception(error))
        assert KEY not in repr(error) + repr(error.__dict__) + error.hint
    server.faults(script=[])
    ask(server, call(name))
    assert KEY not in caplog.text


def test_a_server_that_repeats_the_key_is_not_quoted() -> None:
    from rlpersona.models.api.failures import calling, status_error

    async def run() -> None:
        async with calling(1, KEY, RuntimeError):
            raise status_error(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}})

    with pytest.raises(CallError, match=r"provided: \*\*\*") as caught:
        asyncio.run(run())
    assert KEY not in repr(caught.value)


def test_openai_bodies() -> None:
    plain = openai_body(call("openai"))
    assert plain == {
        "model": "judge-1",
        "messages": [
            {"role": "system", "content": "You are a judge."},
            {"role": "user", "content": "Who wins?"},
        ],
        "max_completion_tokens": 50,
        "temperature": 0.0,
    }
    own = openai_body(call("openai", base_url="http://127.0.0.1:8000/v1"))
    assert own["max_tokens"] == 50
    assert "max_completion_tokens" not in own
    sampled = call("openai", sampling=Sampling(50, temperature=1.0, top_p=0.9, seed=3))
    body = openai_body(sampled)
    assert "temperature" not in body
    assert body["top_p"] == 0.9
    assert 0 <= body["seed"] < 2**31
    assert body["seed"] != openai_body(replace(sampled, sample=1))["seed"]
    structured = openai_body(call("openai", schema=SCHEMA))["response_format"]["json_schema"]
    assert structured["strict"] is True
    assert structured["schema"] == json.loads(SCHEMA)


def test_anthropic_bodies() -> None:
    body = anthropic_body(call("anthropic", schema=SCHEMA))
    assert body["system"] == "You are a judge."
    assert body["messages"] == [{"role": "user", "content": "Who wins?"}]
    assert body["output_config"]["format"]["schema"]["required"] == ["winner", "score"]
    sampled = call("anthropic", sampling=Sampling(9, temperature=0.5, top_p=0.9, seed=1))
    assert {"temperature", "top_p", "seed"}.isdisjoint(anthropic_body(sampled))
    own = anthropic_body(replace(sampled, base_url="http://127.0.0.1:8000"))
    assert (own["temperature"], own["top_p"]) == (0.5, 0.9)
    assert "seed" not in own
    alone = anthropic_body(call("anthropic", messages=(Message("user", "hi"),)))
    assert "system" not in alone


def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(JudgeError, match="'openia'") as caught:
        provider_for("openia", "", KEY)
    assert "openai" in caught.value.hint
