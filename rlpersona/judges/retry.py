"""One call until it is settled: asked, asked again where that can help, given up where it cannot."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from rlpersona.errors import CallError, Kind
from rlpersona.judges.ledger import Attempt, Outcome
from rlpersona.judges.pacing import Pacer
from rlpersona.judges.prices import SHIPPED, Prices, cost_of, likely_input_tokens
from rlpersona.types import ApiCall, ApiReply

if TYPE_CHECKING:
    from rlpersona.models.api import Limits, Provider

# Failures of a kind after which a call is given up.
ATTEMPTS: Mapping[Kind, int] = MappingProxyType({"rate": 20, "server": 5, "timeout": 3, "connection": 5})
# A call that is given up for these ends the run: the next call would fare no better.
STOP: frozenset[Kind] = frozenset({"auth", "funds", "request", "rate"})
# Asking again would give the same, and most of them are paid for.
LASTING: frozenset[Kind] = frozenset({"filter", "cutoff", "unparsed"})
# The answer may have been made and billed, and got lost on its way.
LOST: frozenset[Kind] = frozenset({"timeout", "connection"})
REFUSED: Mapping[str, Kind] = MappingProxyType({"length": "cutoff", "filter": "filter"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how soon a call is asked again.

    `attempts` is the number of failures of one kind after which a call is given up; a kind that is not
    in it is never asked again. Between attempts lie `base_s`, twice that, ... at most `cap_s` seconds,
    each drawn between half of it and the whole; a Retry-After that is longer goes before. `timeout_s` is
    the time of one attempt.
    """

    attempts: Mapping[Kind, int] = field(default_factory=lambda: dict(ATTEMPTS))
    base_s: float = 0.5
    cap_s: float = 30.0
    timeout_s: float = 120.0

    @property
    def most_bills(self) -> int:
        """The most attempts at one call that may be billed: a reply, and those whose reply got lost."""
        return 1 + sum(self.attempts.get(kind, 1) for kind in LOST)

    def delay(self, failures: int, after: float | None = None) -> float:
        """Seconds to wait after the given number of failures of a kind."""
        whole = min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 30))
        return max(after or 0.0, whole * random.uniform(0.5, 1.0))


async def settle(
    call: ApiCall,
    provider: Provider,
    pacer: Pacer,
    policy: RetryPolicy | None = None,
    prices: Prices = SHIPPED,
) -> Outcome:
    """Ask until there is a reply, or until asking again is of no use; never raises CallError.

    The outcome holds every attempt with what it cost. A reply that was cut off or filtered is a failure
    that keeps the reply. After a 429 the pacer's gate holds all calls back; after another failure only
    this one waits.
    """
    policy = policy or RetryPolicy()
    tokens = likely_input_tokens(call) + call.sampling.max_tokens
    attempts: list[Attempt] = []
    failures: Counter[Kind] = Counter()
    while True:
        begun = await pacer.turn(tokens)
        attempt, answer = await _attempt(len(attempts) + 1, call, provider, policy.timeout_s, prices)
        attempts.append(attempt)
        if not isinstance(answer, CallError):
            reply, limits = answer
            pacer.heard(limits)
            return Outcome(call, tuple(attempts), reply, attempt.kind)
        if answer.kind == "rate":
            pacer.refused(begun, answer.retry_after)
        else:
            pacer.heard()
        failures[answer.kind] += 1
        if failures[answer.kind] >= policy.attempts.get(answer.kind, 1):
            return Outcome(call, tuple(attempts), None, answer.kind)
        await asyncio.sleep(policy.delay(failures[answer.kind], answer.retry_after))


async def _attempt(
    number: int, call: ApiCall, provider: Provider, timeout: float, prices: Prices
) -> tuple[Attempt, tuple[ApiReply, Limits] | CallError]:
    started, clock = time.time(), time.monotonic()
    try:
        reply, limits = await provider.ask(call, timeout)
    except CallError as error:
        seconds = time.monotonic() - clock
        return Attempt(number, started, seconds, error.status, error.kind, error.message), error
    attempt = Attempt(
        number=number,
        started=started,
        latency_s=time.monotonic() - clock,
        status=200,
        kind=REFUSED.get(reply.finish),
        message="" if reply.finish == "stop" else f"the reply was ended by {reply.finish}",
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        cost=cost_of(call, reply.input_tokens, reply.output_tokens, prices),
    )
    return attempt, (reply, limits)
