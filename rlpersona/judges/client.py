"""Many calls to a judge: known ones from the ledger, the others made once, recorded, and paid once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from rlpersona.errors import CostError, JudgeError
from rlpersona.judges.estimate import CostCap
from rlpersona.judges.ledger import Ledger, Outcome
from rlpersona.judges.pacing import Pacer
from rlpersona.judges.prices import SHIPPED, Prices, require_prices, worst_case
from rlpersona.judges.retry import LASTING, LOST, STOP, RetryPolicy, settle
from rlpersona.types import ApiCall

POLL_S = 1.0  # seconds after which a quiet exchange returns
PATIENCE = 16  # calls given up one after the other, none answered between, that end the run

Progress = Callable[[int], None]

log = logging.getLogger(__name__)


class Workers(Protocol):
    """Who settles calls, many at a time: `runtime.fanout.Fanout` over an `Asker`."""

    @property
    def under_way(self) -> int:
        """How many calls are handed out and not taken."""
        ...

    @property
    def pid(self) -> int:
        """The process that asks; 0 until it is up."""
        ...

    def put(self, ticket: Hashable, item: ApiCall) -> None:
        """Hand out a call."""
        ...

    def take(self, timeout: float) -> Sequence[tuple[Hashable, Outcome]]:
        """What is settled, at least one call unless `timeout` seconds go by without."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An account at a provider, its limits, and how it is asked. No key: the worker looks it up.

    The limits (a minute) are those of the account; None leaves them to the provider's headers.
    `in_flight` calls are asked at a time, and `ahead` more are handed out beside them, so that recording
    answers holds up no call. A crash costs at most `window` answers: those handed out, not yet recorded.
    """

    provider: str
    base_url: str = ""
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    in_flight: int = 64
    ahead: int = 32
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    prices: Prices = field(default_factory=lambda: SHIPPED)

    @property
    def window(self) -> int:
        """The most calls that are handed out and not recorded."""
        return self.in_flight + self.ahead


class Asker:
    """Settles calls at one endpoint; made in the process and event loop that uses it.

    Raises JudgeError where there is no key.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        from rlpersona.models.api import key_for, provider_for

        self.endpoint = endpoint
        key = key_for(endpoint.provider, endpoint.base_url)
        self._provider = provider_for(endpoint.provider, endpoint.base_url, key)
        self._pacer = Pacer(endpoint.requests_per_minute, endpoint.tokens_per_minute)
        self._gate = asyncio.Semaphore(endpoint.in_flight)

    async def __call__(self, call: ApiCall) -> Outcome:
        """Ask until the call is settled."""
        at = self.endpoint
        async with self._gate:
            return await settle(call, self._provider, self._pacer, at.policy, at.prices)

    async def close(self) -> None:
        """Close the connections."""
        await self._provider.close()


class JudgeClient:
    """Asks an endpoint through `workers` and keeps everything in `ledger`.

    `max_cost` is a cap in dollars on all that the ledger holds, earlier runs included; each call holds
    the most that its attempts may be billed, and where little is left, fewer calls go at a time.
    `resume` is the command that the errors tell the user to go on with.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        workers: Workers,
        ledger: Ledger,
        max_cost: float | None = None,
        resume: str = "",
    ) -> None:
        self.endpoint, self.workers, self._ledger = endpoint, workers, ledger
        self._resume = resume or "the same command with --resume"
        spent = ledger.cost() if max_cost is not None else 0.0
        self.cap = CostCap(max_cost, spent, resume)
        self._reserved: dict[str, float | None] = {}  # by key, of the calls under way

    def ask(self, calls: Sequence[ApiCall], on_done: Progress | None = None) -> list[Outcome]:
        """One outcome per call, in their order; equal calls are made once.

        Replies that the ledger holds are not paid for again, nor are answers that were refused for their
        content (filter, cut-off); calls given up for other reasons are made again. Outcomes are on the
        disk before more calls go out, and `on_done(n)` is told of n more calls then (known ones first).

        Raises:
            JudgeError: the provider refuses the key, the account or the request, or answers no more.
            CostError: the cap is reached.
            StorageError: the ledger cannot be written.
            In the first two cases, and on Ctrl-C, nothing more is handed out; what is under way is
            waited for, as long as an attempt may take, and recorded.
        """
        wanted = {call.key: call for call in calls}
        settled = settled_before(self._ledger, wanted)
        # What is under way since an interrupted `ask` comes in with the others.
        begun = settled.keys() | self._reserved.keys()
        todo = deque(call for key, call in wanted.items() if key not in begun)
        if self.cap.limit is not None:
            require_prices(todo, self.endpoint.prices)
        if on_done is not None and settled:
            on_done(len(settled))
        try:
            for group in self._settled(todo):
                settled.update((outcome.call.key, outcome) for outcome in group)
                if on_done is not None:
                    on_done(len(group))
        except (JudgeError, CostError, KeyboardInterrupt):
            self._drain()
            raise
        return [settled[call.key] for call in calls]

    def _settled(self, todo: deque[ApiCall]) -> Iterator[list[Outcome]]:
        """Hand the calls out and yield groups of outcomes that are recorded."""
        silent = 0
        while True:
            while todo and self._room(todo[0]):
                self._hand_out(todo.popleft())
            if not self.workers.under_way:
                return
            group = self._recorded(POLL_S)
            yield group
            for outcome in group:
                silent = 0 if outcome.reply or outcome.failure in LASTING else silent + 1
                if outcome.failure in STOP or silent >= PATIENCE:
                    raise self._stop(outcome)

    def _room(self, call: ApiCall) -> bool:
        """Whether a call may go out; if the cap forbids it now, perhaps after others are settled."""
        free = self.workers.under_way < self.endpoint.window
        return free and (not self.workers.under_way or self.cap.fits(self._most(call)))

    def _hand_out(self, call: ApiCall) -> None:
        most = self._most(call)
        self.cap.reserve(most)
        self._reserved[call.key] = most
        self.workers.put(call.key, call)

    def _recorded(self, timeout: float) -> list[Outcome]:
        """The next outcomes, safe on the disk; none if `timeout` seconds go by."""
        group = [outcome for _, outcome in self.workers.take(timeout)]
        self._ledger.record(group)
        for outcome in group:
            self.cap.settle(self._reserved.pop(outcome.call.key), self._bill(outcome))
        return group

    def _most(self, call: ApiCall) -> float | None:
        """The most dollars that a call can cost with all its attempts."""
        worst = worst_case(call, self.endpoint.prices)
        return None if worst is None else worst * self.endpoint.policy.most_bills

    def _bill(self, outcome: Outcome) -> float:
        """Dollars that a call may have cost: a reply that got lost counts as the worst one."""
        lost = sum(attempt.kind in LOST for attempt in outcome.attempts)
        return outcome.cost + lost * (worst_case(outcome.call, self.endpoint.prices) or 0.0)

    def _drain(self) -> None:
        """Wait for what is under way, as long as one attempt may take, and record it."""
        end = time.monotonic() + self.endpoint.policy.timeout_s
        if self.workers.under_way:
            log.warning("stopping: waiting for %d calls under way", self.workers.under_way)
        while self.workers.under_way and time.monotonic() < end:
            self._recorded(POLL_S)

    def _stop(self, outcome: Outcome) -> JudgeError:
        kind, message = outcome.failure, outcome.attempts[-1].message
        what = {
            "auth": "the provider does not accept the API key",
            "funds": "the provider's account has no credit left",
            "request": "the provider refuses the request",
            "rate": "the provider's rate limit let a call through at no attempt",
        }.get(str(kind), f"the last {PATIENCE} calls got no answer")
        fix = {
            "auth": "Check the API key, and that it may use this model.",
            "funds": "Add credit to the account, or use another key.",
            "request": "Check the model's name and the settings.",
            "rate": "Wait until the limit allows more, or give it: requests_per_minute.",
        }.get(str(kind), "Check base_url and the network, or wait until the provider is well.")
        kept = f"What was answered is kept. Then go on: {self._resume}"
        return JudgeError(f"{what}: {message}", f"{fix} {kept}")


def settled_before(ledger: Ledger, wanted: Mapping[str, ApiCall]) -> dict[str, Outcome]:
    """What the ledger holds of the calls, by key, and need not be asked again."""
    replies, failures = ledger.known(wanted), ledger.failed(wanted)
    return {key: Outcome(wanted[key], (), reply) for key, reply in replies.items()} | {
        key: Outcome(wanted[key], (), failure.reply, failure.kind)
        for key, failure in failures.items()
        if failure.kind in LASTING
    }
