"""One call in virtual time: what is asked again, how soon, and what comes of it."""

from __future__ import annotations

import asyncio

import pytest

from rlpersona.errors import CallError, Kind
from rlpersona.judges.ledger import Outcome
from rlpersona.judges.pacing import Pacer
from rlpersona.judges.retry import ATTEMPTS, STOP, RetryPolicy, settle
from rlpersona.models.api import Limits
from rlpersona.types import ApiCall, ApiReply, Message, Sampling
from tests.unit.judges.virtual_time import run

CALL = ApiCall("openai", "gpt-4o", (Message("user", "Which is better?"),), Sampling(max_tokens=100))
GOOD = ApiReply("A", "stop", 1000, 100)


class Scripted:
    """A provider that fails and answers by a script."""

    def __init__(self, *script: CallError | ApiReply) -> None:
        self.script = list(script)
        self.times: list[float] = []

    async def ask(self, call: ApiCall, timeout: float) -> tuple[ApiReply, Limits]:
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)
        step = self.script.pop(0)
        if isinstance(step, CallError):
            raise step
        return step, Limits()

    async def close(self) -> None:
        pass


def fail(kind: Kind, status: int | None = None, after: float | None = None) -> CallError:
    return CallError(f"planted {kind}", kind=kind, status=status, retry_after=after)


def settled(provider: Scripted, policy: RetryPolicy | None = None) -> Outcome:
    return run(settle(CALL, provider, Pacer(), policy))


def test_an_answer_is_priced() -> None:
    outcome = settled(Scripted(GOOD))
    assert (outcome.reply, outcome.failure) == (GOOD, None)
    (attempt,) = outcome.attempts
    assert (attempt.number, attempt.status, attempt.kind) == (1, 200, None)
    assert outcome.cost == pytest.approx((1000 * 2.5 + 100 * 10) / 1e6)


def test_passing_failures_are_asked_again_and_kept() -> None:
    provider = Scripted(
        fail("server", 503), fail("timeout"), fail("connection"), fail("rate", 429), GOOD
    )
    outcome = settled(provider)
    assert outcome.failure is None
    kinds = [(attempt.number, attempt.kind, attempt.status) for attempt in outcome.attempts]
    assert kinds == [
        (1, "server", 503),
        (2, "timeout", None),
        (3, "connection", None),
        (4, "rate", 429),
        (5, None, 200),
    ]


@pytest.mark.parametrize("kind", sorted(ATTEMPTS))
def test_each_kind_has_its_cap(kind: Kind) -> None:
    provider = Scripted(*[fail(kind) for _ in range(50)])
    outcome = settled(provider)
    assert (outcome.reply, outcome.failure) == (None, kind)
    assert len(outcome.attempts) == len(provider.times) == ATTEMPTS[kind]


@pytest.mark.parametrize("kind", ["auth", "funds", "request", "filter"])
def test_what_cannot_help_is_not_tried(kind: Kind) -> None:
    provider = Scripted(fail(kind), GOOD)
    outcome = settled(provider)
    assert (outcome.failure, len(provider.times)) == (kind, 1)
    assert (kind in STOP) == (kind != "filter")


@pytest.mark.parametrize(("finish", "kind"), [("length", "cutoff"), ("filter", "filter")])
def test_an_unusable_reply_is_a_failure_that_was_paid_for(finish: str, kind: str) -> None:
    reply = ApiReply("I prefer", finish, 1000, 100)  # type: ignore[arg-type]
    outcome = settled(Scripted(reply, GOOD))
    assert (outcome.reply, outcome.failure) == (reply, kind)
    assert outcome.cost > 0


def test_waits_double_up_to_the_cap_with_jitter() -> None:
    policy = RetryPolicy(attempts={"server": 9}, base_s=1, cap_s=20)
    provider = Scripted(*[fail("server", 500) for _ in range(9)])
    settled(provider, policy)
    waits = [b - a - 0.1 for a, b in zip(provider.times, provider.times[1:], strict=False)]
    for wait, whole in zip(waits, [1, 2, 4, 8, 16, 20, 20, 20], strict=True):
        assert whole / 2 - 1e-9 <= wait <= whole + 1e-9
    assert len({round(wait / whole, 6) for wait, whole in zip(waits, [1, 2, 4, 8], strict=False)}) > 1


@pytest.mark.parametrize("kind", ["server", "rate"])
def test_a_longer_retry_after_goes_before(kind: Kind) -> None:
    provider = Scripted(fail(kind, after=42.0), GOOD)
    settled(provider)
    assert provider.times[1] - provider.times[0] == pytest.approx(42.1)


def test_a_429_holds_others_back_and_a_500_does_not() -> None:
    async def second_start(kind: Kind) -> float:
        pacer, other = Pacer(requests_per_minute=60_000), Scripted(GOOD)
        first = asyncio.create_task(settle(CALL, Scripted(fail(kind, after=9.0), GOOD), pacer))
        await asyncio.sleep(0.2)
        await settle(CALL, other, pacer)
        await first
        return other.times[0]

    assert run(second_start("rate")) == pytest.approx(9.1)
    assert run(second_start("server")) == pytest.approx(0.2)


def test_the_bound_on_bills_covers_every_way_to_fail() -> None:
    policy = RetryPolicy()
    script = [fail("timeout") for _ in range(ATTEMPTS["timeout"] - 1)]
    script += [fail("connection") for _ in range(ATTEMPTS["connection"] - 1)]
    outcome = settled(Scripted(*script, GOOD), policy)
    assert outcome.failure is None
    assert len(outcome.attempts) <= policy.most_bills
