"""The judge's client over a Ray actor that asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from rlpersona.judges.client import Asker, Endpoint, JudgeClient
from rlpersona.judges.ledger import Ledger, Outcome
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
        yield JudgeClient(endpoint, workers, ledger, max_cost, resume)
