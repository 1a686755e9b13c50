"""The judge's client over a Ray actor that asks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from rlpersona.judges.client import Asker, Endpoint, JudgeClient, Workers
from rlpersona.judges.ledger import Ledger, Outcome
from rlpersona.runtime import metrics
from rlpersona.runtime.fanout import Fanout
from rlpersona.types import ApiCall


@contextmanager
def judge_client(
    endpoint: Endpoint, ledger: Ledger, max_cost: float | None = None, resume: str = ""
) -> Iterator[JudgeClient]:
    """A client (see `JudgeClient`) whose calls go out from one Ray actor; needs `ray_session`.

    The actor finds the key as `models.api.key_for` does, in the environment that it inherits from its
    Ray node or in the file that is named there: the key itself is never handed over.
    """
    group = max(1, endpoint.ahead // 2)  # the other half keeps the actor busy until more calls come
    with Fanout[ApiCall, Outcome](partial(Asker, endpoint), group=group) as workers:
        counted = Counted(workers)
        try:
            yield JudgeClient(endpoint, counted, ledger, max_cost, resume)
        finally:
            metrics.record(metrics.JUDGE_IN_FLIGHT, 0)


class Counted:
    """Workers whose calls are told to the metrics: in flight, settled, and what they cost."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    @property
    def under_way(self) -> int:
        """How many calls are handed out and not taken."""
        return self._workers.under_way

    @property
    def pid(self) -> int:
        """The process that asks; 0 until it is up."""
        return self._workers.pid

    def put(self, ticket: Hashable, item: ApiCall) -> None:
        """Hand out a call."""
        self._workers.put(ticket, item)

    def take(self, timeout: float) -> Sequence[tuple[Hashable, Outcome]]:
        """What is settled."""
        metrics.record(metrics.JUDGE_IN_FLIGHT, self.under_way)
        settled = self._workers.take(timeout)
        metrics.record(metrics.JUDGE_IN_FLIGHT, self.under_way)
        for _, outcome in settled:
            metrics.record(metrics.JUDGE_CALLS, 1, result=outcome.failure or "answered")
            metrics.record(metrics.JUDGE_COST, outcome.cost)
        return settled
