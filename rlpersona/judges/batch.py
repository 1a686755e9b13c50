"""Many calls to a judge at half the price: in batches, which a provider answers within a day.

The same call as `JudgeClient.ask`, the same records in the ledger. A batch goes on at the provider when
this process ends: asked for the same calls, or any others, the next one collects it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice

from rlpersona.errors import CallError, JudgeError
from rlpersona.judges.batch_book import BatchBook, Plan
from rlpersona.judges.batch_transfer import Pace, Transfer
from rlpersona.judges.batch_wire import Remote, Service, service_for
from rlpersona.judges.client import Endpoint, Progress, settled_before
from rlpersona.judges.estimate import CostCap
from rlpersona.judges.ledger import Ledger, Outcome
from rlpersona.judges.prices import BATCH_SHARE, require_prices, worst_case
from rlpersona.judges.retry import LASTING, STOP
from rlpersona.models.api import key_for
from rlpersona.types import ApiCall

TRIES = 3  # batches of this process that may fail a call (expired, server errors) before it is given up


class BatchClient:
    """Asks an endpoint in batches and keeps everything in `ledger`.

    `max_cost` is a cap in dollars on all that the ledger holds; a batch takes only as many calls as fit
    at their worst, and the next one what the first has left over. `max_rows` makes batches smaller than
    the provider's limit. `resume` is the command that errors tell the user to go on with.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        ledger: Ledger,
        max_cost: float | None = None,
        resume: str = "",
        *,
        max_rows: int | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.endpoint, self._ledger = endpoint, ledger
        self.max_rows, self.pace = max_rows, pace or Pace()
        self._max_cost, self._resume = max_cost, resume or "the same command with --resume"

    def ask(self, calls: Sequence[ApiCall], on_done: Progress | None = None) -> list[Outcome]:
        """One outcome per call, in their order, as `JudgeClient.ask` gives them.

        Only rows that no batch has answered are sent (again): missing, expired and failed ones. Batches
        that an earlier process left under way are collected first, whatever is in them. Ctrl-C leaves
        the batches running.

        Raises:
            JudgeError: the provider refuses the key, the account or a request, or answers no more; a
                batch was cancelled. What has come is recorded by then.
            CostError: the cap leaves no room for a single call.
            StorageError: the ledger cannot be written.
        """
        asking = _Asking(self, self._ledger, calls, on_done)
        try:
            asyncio.run(asking.run())
        except CallError as error:
            raise self.stopped(error.kind, error.message) from None
        return [asking.settled[call.key] for call in calls]

    def affordable(self, calls: Sequence[ApiCall], under_way: Iterable[Plan]) -> Sequence[ApiCall]:
        """The first of the calls, as many as the cap allows; CostError if nothing can go on."""
        if self._max_cost is None:
            return calls
        require_prices(calls, self.endpoint.prices)
        held = sum(self._most(call) for plan in under_way for call in plan.calls.values())
        cap = CostCap(self._max_cost, self._ledger.cost() + held, self._resume)
        for count, call in enumerate(calls):
            if not cap.fits(self._most(call)) and (count or held):
                return calls[:count]
            cap.reserve(self._most(call))
        return calls

    def _most(self, call: ApiCall) -> float:
        return BATCH_SHARE * (worst_case(call, self.endpoint.prices) or 0.0)

    def stopped(self, kind: str, message: str) -> JudgeError:
        """The error that ends an `ask`."""
        fix = {
            "auth": "Check the API key, and that it may use this model and these batches.",
            "funds": "Add credit to the account, or use another key.",
            "request": "Check the model's name and the settings; a batch that is not found belongs to"
            " another key.",
            "cancelled": "If it was meant to stop, leave it at that.",
            "rate": "Wait until other batches of the account have ended.",
        }.get(kind, "Check base_url and the network, or wait until the provider is well.")
        return JudgeError(message, f"{fix} What was answered is kept. Then go on: {self._resume}")


class _Asking:
    """One `ask` while it runs."""

    def __init__(
        self, client: BatchClient, ledger: Ledger, calls: Sequence[ApiCall], on_done: Progress | None
    ) -> None:
        self._client, self._ledger, self._on_done = client, ledger, on_done
        self._wanted = {call.key: call for call in calls}
        self.settled: dict[str, Outcome] = {}
        self._failed: dict[str, Outcome] = {}
        self._tries: Counter[str] = Counter()
        self._stopping: list[tuple[str, str]] = []
        self._rows = client.max_rows or sys.maxsize
        self._singly = False  # one batch at a time, since the provider's queue was full

    async def run(self) -> None:
        """Send, wait and record until every call is settled, in rounds."""
        at = self._client.endpoint
        self._note(list(settled_before(self._ledger, self._wanted).values()))
        with closing(BatchBook(self._ledger)) as book:
            if len(self.settled) < len(self._wanted) or book.open_plans(at.provider, at.base_url):
                service = service_for(at.provider, at.base_url, key_for(at.provider, at.base_url))
                try:
                    await self._rounds(service, book)
                finally:
                    await service.close()
        if left := len(self._wanted) - len(self.settled):
            self.settled.update({key: self._failed[key] for key in self._wanted.keys() - self.settled})
            self._tell(left)

    async def _rounds(self, service: Service, book: BatchBook) -> None:
        at = self._client.endpoint
        transfer = Transfer(service, book, self._ledger, at, self._client.pace)
        under_way = await transfer.recovered()
        while True:
            for group in self._groups(service, under_way):
                plan = book.plan(at.provider, at.base_url, group)
                under_way.append(await transfer.send(plan))
            if not under_way:
                return
            self._heed(await transfer.gather(under_way, self._note))
            if self._stopping:
                raise self._client.stopped(*self._stopping[0])
            under_way = []

    def _groups(self, service: Service, under_way: Sequence[Plan]) -> Sequence[list[ApiCall]]:
        """What is to be sent, batch by batch; only one after the provider's queue was full."""
        covered = {key for plan in under_way for key in plan.calls}
        todo = [
            call
            for key, call in self._wanted.items()
            if key not in self.settled and key not in covered and self._tries[key] < TRIES
        ]
        todo = list(self._client.affordable(todo, under_way))
        rows = min(service.max_rows, self._rows)
        groups = split(todo, lambda call: len(service.line(call)), rows, service.max_bytes)
        return list(islice(groups, 1) if self._singly else groups)

    def _note(self, group: Sequence[Outcome]) -> None:
        """Keep what is recorded. The same outcome may come again, after a download that broke off."""
        before = len(self.settled)
        for outcome in group:
            key = outcome.call.key
            if key not in self._wanted or key in self.settled or outcome == self._failed.get(key):
                continue
            if outcome.failure is None or outcome.failure in LASTING:
                self.settled[key] = outcome
                continue
            self._failed[key] = outcome
            self._tries[key] += 1
            if outcome.failure in STOP - {"rate"}:
                self._stopping.append((str(outcome.failure), outcome.attempts[-1].message))
        self._tell(len(self.settled) - before)

    def _tell(self, count: int) -> None:
        if self._on_done is not None and count:
            self._on_done(count)

    def _heed(self, ended: Sequence[tuple[Plan, Remote]]) -> None:
        """What the ends of a round's batches mean for the next round."""
        full = [plan for plan, remote in ended if remote.state == "refused" and remote.kind == "rate"]
        largest = max((len(plan.calls) for plan in full), default=0)
        self._singly |= bool(full)
        if full and len(full) == len(ended):
            self._rows = max(1, largest // 2)
        for plan, remote in ended:
            if remote.state == "cancelled":
                self._stopping.append(("cancelled", f"batch {remote.id} was cancelled"))
            elif remote.state == "refused" and (plan not in full or largest == 1):
                self._stopping.append((str(remote.kind), f"batch {remote.id}: {remote.message}"))


def split(
    calls: Sequence[ApiCall], size: Callable[[ApiCall], int], max_rows: int, max_bytes: int
) -> Iterator[list[ApiCall]]:
    """Groups of one model each (OpenAI takes no others) within both limits, line ends counted.

    A call that is over the limit by itself is a group of its own, for the provider to refuse.
    """
    groups: dict[str, list[ApiCall]] = {}
    sizes: Counter[str] = Counter()
    for call in calls:
        group, bytes_ = groups.setdefault(call.model, []), size(call) + 1
        if group and (len(group) == max_rows or sizes[call.model] + bytes_ > max_bytes):
            yield group
            group = groups[call.model] = []
            sizes[call.model] = 0
        group.append(call)
        sizes[call.model] += bytes_
    yield from groups.values()
