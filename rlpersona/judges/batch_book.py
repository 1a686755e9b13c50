"""What is to be sent in batches and what was: two tables of their own in the ledger's file.

A batch is written down before anything leaves (`plan`), again before the request that is paid for
(`sending`), and once more when the provider's id for it is known (`sent`). Whatever a crash leaves
behind can be told from these: nothing was made, perhaps something was made, this was made.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rlpersona.judges.database import sqlite_errors, transaction
from rlpersona.judges.ledger import Ledger
from rlpersona.types import ApiCall, Message, Sampling

TABLES = (
    """CREATE TABLE IF NOT EXISTS batches (
        name TEXT PRIMARY KEY,
        provider TEXT NOT NULL,
        base_url TEXT NOT NULL,
        planned REAL NOT NULL,
        begun REAL,
        remote TEXT UNIQUE,
        state TEXT NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS batch_rows (
        batch TEXT NOT NULL REFERENCES batches,
        key TEXT NOT NULL,
        number INTEGER NOT NULL,
        request TEXT NOT NULL,
        PRIMARY KEY (batch, key)
    ) WITHOUT ROWID""",
)
# A row's number counts the batches that it was part of and that were run.
ADD_ROW = """
    INSERT INTO batch_rows SELECT :batch, :key, 1 + count(*), :request
    FROM batch_rows JOIN batches ON name = batch WHERE key = :key AND state = 'collected'
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """A batch that is not settled. `begun` is when the request that makes it was last started (Unix
    seconds), None if it never was; `remote` is the provider's id, empty while unknown."""

    name: str
    calls: dict[str, ApiCall]
    numbers: dict[str, int]
    begun: float | None = None
    remote: str = ""


class BatchBook:
    """The tables, through a connection of their own. Only for the process that has the ledger open
    for writing, whose lock keeps other writers away."""

    def __init__(self, ledger: Ledger) -> None:
        self._path = ledger.path
        with sqlite_errors(self._path):
            self._database = sqlite3.connect(ledger.path, isolation_level=None)
            self._database.execute("PRAGMA synchronous = FULL")
            for table in TABLES:
                self._database.execute(table)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def plan(self, provider: str, base_url: str, calls: Sequence[ApiCall]) -> Plan:
        """Write down a batch that is to be sent. Its name is unique over all ledgers."""
        name = f"rlp-{uuid.uuid4().hex}"
        rows = [{"batch": name, "key": call.key, "request": json.dumps(asdict(call))} for call in calls]
        with self._writing():
            self._database.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, NULL, NULL, 'open')",
                (name, provider, base_url, time.time()),
            )
            self._database.executemany(ADD_ROW, rows)
        return self._rows(Plan(name, {}, {}))

    def sending(self, plan: Plan) -> Plan:
        """From here on the batch may exist."""
        begun = time.time()
        self._set(plan, begun=begun)
        return replace(plan, begun=begun)

    def sent(self, plan: Plan, remote: str) -> Plan:
        """The batch exists under this id."""
        self._set(plan, remote=remote)
        return replace(plan, remote=remote)

    def close_plan(self, plan: Plan, state: Literal["collected", "dropped", "lost"]) -> None:
        """Nothing is left to do: its results are recorded, it was never made, or they are gone."""
        self._set(plan, state=state)

    def open_plans(self, provider: str, base_url: str) -> list[Plan]:
        """The batches at this address that are not settled, the oldest first."""
        with sqlite_errors(self._path):
            rows = self._database.execute(
                "SELECT name, begun, remote FROM batches"
                " WHERE state = 'open' AND provider = ? AND base_url = ? ORDER BY planned, rowid",
                (provider, base_url),
            ).fetchall()
        return [self._rows(Plan(name, {}, {}, begun, remote or "")) for name, begun, remote in rows]

    def remotes(self) -> set[str]:
        """The provider's ids of all batches that are known."""
        with sqlite_errors(self._path):
            found = self._database.execute("SELECT remote FROM batches WHERE remote IS NOT NULL")
            return {remote for (remote,) in found}

    def _rows(self, plan: Plan) -> Plan:
        with sqlite_errors(self._path):
            rows = self._database.execute(
                "SELECT key, number, request FROM batch_rows WHERE batch = ?", (plan.name,)
            ).fetchall()
        calls = {key: call_from(json.loads(request)) for key, _, request in rows}
        return replace(plan, calls=calls, numbers={key: number for key, number, _ in rows})

    def _set(self, plan: Plan, **values: float | str) -> None:
        ((column, value),) = values.items()
        with self._writing():
            self._database.execute(f"UPDATE batches SET {column} = ? WHERE name = ?", (value, plan.name))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with sqlite_errors(self._path), transaction(self._database):
            yield


def call_from(row: dict[str, Any]) -> ApiCall:
    """The call of which `asdict` made this row."""
    messages = tuple(Message(**message) for message in row["messages"])
    return ApiCall(**{**row, "messages": messages, "sampling": Sampling(**row["sampling"])})
