"""A batch on its way there and back, across lost replies and crashes: sent once, recorded once.

Nothing tells whether a request whose reply got lost has made its batch; nor does anything after a crash.
So before a batch is sent again, the account's batches are searched for it, until so much time has passed
that it would have appeared.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from rlpersona.errors import CallError, Kind
from rlpersona.judges.batch_book import BatchBook, Plan
from rlpersona.judges.batch_wire import Remote, Result, Service
from rlpersona.judges.client import Endpoint
from rlpersona.judges.ledger import Attempt, Ledger, Outcome
from rlpersona.judges.prices import BATCH_SHARE, cost_of
from rlpersona.judges.retry import LOST, REFUSED

GROUP = 500  # results in one commit
CLOCKS_S = 600.0  # how far the provider's clock may be from this one
KEPT_S = 29 * 86400.0  # results are kept for at least that long
UNSURE: frozenset[Kind] = LOST | {"server"}  # failures after which a batch may have been made

T = TypeVar("T")
Recorded = Callable[[list[Outcome]], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between two looks at a batch (at first, at most), and the time after its request within
    which a batch appears in the provider's list if it was made at all."""

    first_s: float = 5.0
    most_s: float = 120.0
    appears_s: float = 60.0


class Transfer:
    """Sends plans and collects their results. CallError where the provider does not let it."""

    def __init__(
        self, service: Service, book: BatchBook, ledger: Ledger, endpoint: Endpoint, pace: Pace
    ) -> None:
        self._service, self._book, self._ledger = service, book, ledger
        self._endpoint, self._pace = endpoint, pace

    async def recovered(self) -> list[Plan]:
        """The batches that an earlier process left under way; those it did not send are dropped."""
        found = []
        for plan in self._book.open_plans(self._endpoint.provider, self._endpoint.base_url):
            remote = plan.remote
            if not remote and plan.begun is not None:
                remote = await self._found(plan)
            if not remote:
                self._book.close_plan(plan, "dropped")
            else:
                found.append(plan if plan.remote else self._book.sent(plan, remote))
        return found

    async def send(self, plan: Plan) -> Plan:
        """Have the batch made, exactly once."""
        lines = [self._service.line(call) for call in plan.calls.values()]
        uploaded = await self._again(lambda: self._service.upload(plan.name, lines))
        failures: Counter[Kind] = Counter()
        attempts = self._endpoint.policy.attempts
        while True:
            plan = self._book.sending(plan)
            try:
                remote = await self._service.submit(plan.name, uploaded, lines)
            except CallError as error:
                remote = await self._found(plan) if error.kind in UNSURE else ""
                if not remote:
                    failures[error.kind] += 1
                    if failures[error.kind] >= attempts.get(error.kind, 1):
                        if not failures.keys() & UNSURE:  # else the next process looks once more
                            self._book.close_plan(plan, "dropped")
                        raise
                    wait = self._endpoint.policy.delay(failures[error.kind], error.retry_after)
                    await asyncio.sleep(wait)
                    continue
            log.info("batch %s has %d requests", remote, len(plan.calls))
            return self._book.sent(plan, remote)

    async def gather(self, plans: Sequence[Plan], recorded: Recorded) -> list[tuple[Plan, Remote]]:
        """Wait until the batches have ended, record what is in them; how each ended."""
        waiting, ended, pause = list(plans), list[tuple[Plan, Remote]](), self._pace.first_s
        while waiting:
            for plan in tuple(waiting):
                remote = await self._looked(plan)
                if remote is None or remote.state != "running":
                    waiting.remove(plan)
                    pause = self._pace.first_s
                    if remote is not None and await self._collected(plan, remote, recorded):
                        ended.append((plan, remote))
            if waiting:
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, self._pace.most_s)
        return ended

    async def _looked(self, plan: Plan) -> Remote | None:
        """The batch; None if the provider has long forgotten it."""
        try:
            return await self._again(lambda: self._service.look(plan.remote))
        except CallError as error:
            self._forgotten(plan, error)
            return None

    async def _collected(self, plan: Plan, remote: Remote, recorded: Recorded) -> bool:
        """Record the results of a batch that has ended; False if they are gone."""
        if remote.state != "refused":
            try:
                await self._again(lambda: self._download(plan, remote, recorded))
            except CallError as error:
                self._forgotten(plan, error)
                return False
        self._book.close_plan(plan, "dropped" if remote.state == "refused" else "collected")
        return True

    def _forgotten(self, plan: Plan, error: CallError) -> None:
        """Give up a batch that is older than what providers keep; any other error is raised."""
        if error.status != 404 or time.time() - (plan.begun or 0.0) < KEPT_S:
            raise error
        log.warning("the results of batch %s are no longer kept: %s", plan.remote, error.message)
        self._book.close_plan(plan, "lost")

    async def _download(self, plan: Plan, remote: Remote, recorded: Recorded) -> None:
        """Record every row. May be repeated: the same rows make the same records."""
        left, answered, group = dict(plan.calls), 0, list[Outcome]()
        async with aclosing(self._service.results(remote)) as results:
            async for result in results:
                if left.pop(result.key, None) is None:
                    continue
                answered += not isinstance(result.answer, CallError) or result.answer.status == 200
                group.append(self._outcome(plan, remote, result))
                if len(group) == GROUP:
                    self._record(group, recorded)
                    group = []
        self._record(group, recorded)
        if answered < remote.answered:
            text = f"the results of {remote.id} hold {answered} answers of {remote.answered}"
            raise CallError(text, kind="connection")
        missing = CallError(f"{remote.id} ended without a word on this request", kind="server")
        self._record([self._outcome(plan, remote, Result(key, missing)) for key in left], recorded)

    def _record(self, group: list[Outcome], recorded: Recorded) -> None:
        self._ledger.record(group)
        if group:
            recorded(group)

    def _outcome(self, plan: Plan, remote: Remote, result: Result) -> Outcome:
        """The outcome of a row. All in it is known to any later process too, times included."""
        call, answer = plan.calls[result.key], result.answer
        started = plan.begun or 0.0
        attempt = Attempt(
            plan.numbers[result.key], started, max(0.0, (remote.ended or started) - started), 200
        )
        if isinstance(answer, CallError):
            attempt = replace(attempt, status=answer.status, kind=answer.kind, message=answer.message)
            return Outcome(call, (attempt,), None, answer.kind)
        cost = cost_of(call, answer.input_tokens, answer.output_tokens, self._endpoint.prices)
        attempt = replace(
            attempt,
            kind=REFUSED.get(answer.finish),
            message="" if answer.finish == "stop" else f"the reply was ended by {answer.finish}",
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            cost=None if cost is None else BATCH_SHARE * cost,
        )
        return Outcome(call, (attempt,), answer, attempt.kind)

    async def _found(self, plan: Plan) -> str:
        """The id of the batch that a request of unknown end has made; empty if it made none."""
        begun, pause = plan.begun or 0.0, self._pace.first_s
        while True:
            known, unsure = self._book.remotes(), False
            for remote in await self._again(lambda: self._service.recent(begun - CLOCKS_S)):
                if remote.id in known:
                    continue
                ours = await self._again(partial(self._service.owns, remote, plan.name, plan.calls))
                if ours:
                    return remote.id
                unsure |= ours is None
            late = time.time() < begun + self._pace.appears_s
            if not unsure and not late:
                return ""
            log.info("waiting to see whether a batch of %d requests was made", len(plan.calls))
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, self._pace.most_s)

    async def _again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask what changes nothing, and ask again where that can help."""
        policy = self._endpoint.policy
        failures: Counter[Kind] = Counter()
        while True:
            try:
                return await ask()
            except CallError as error:
                failures[error.kind] += 1
                if failures[error.kind] >= policy.attempts.get(error.kind, 1):
                    raise
                wait = policy.delay(failures[error.kind], error.retry_after)
            await asyncio.sleep(wait)
