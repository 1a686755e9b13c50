"""Every call to a judge, every attempt at it and what it cost: one SQLite file in the run folder.

Calls are made at least once and recorded exactly once: a call is its content hash (`ApiCall.key`), a
reply is never replaced, and recording the same outcome again changes nothing. A group of outcomes is
one commit that is on the disk (WAL, synchronous=FULL) when `record` returns; a killed process loses the
group in flight and nothing else. One process writes, held by an OS lock that a dead one cannot keep;
any number read beside it. Parquet and JSONL are exports of this file, never its source.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rlpersona.errors import Kind
from rlpersona.judges.database import opened, sqlite_errors, transaction
from rlpersona.store import atomic
from rlpersona.types import ApiCall, ApiReply

if TYPE_CHECKING:
    import pandas as pd

# A success replaces a dead letter; of two dead letters the one that ended last stays.
SETTLE = """
    INSERT INTO calls VALUES (:key, :request, :reply, :failure, :message, :ended)
    ON CONFLICT (key) DO UPDATE SET
        reply = excluded.reply, failure = excluded.failure,
        message = excluded.message, ended = excluded.ended
    WHERE calls.failure IS NOT NULL AND (excluded.failure IS NULL OR excluded.ended > calls.ended)
"""
TRY = """
    INSERT INTO attempts VALUES (:key, :number, :started, :latency_s, :status, :kind, :message,
        :input_tokens, :output_tokens, :cost)
    ON CONFLICT DO NOTHING
"""
SPENT = """
    SELECT calls.*, count(number) AS attempts, total(cost) AS cost
    FROM calls LEFT JOIN attempts USING (key) GROUP BY calls.key ORDER BY calls.rowid
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request that was sent: `started` in Unix seconds, `cost` in dollars.

    `kind` is None for a good answer. `cost` is None where the model's price is unknown; a request that
    was refused before any work costs 0.
    """

    number: int
    started: float
    latency_s: float
    status: int | None = None
    kind: Kind | None = None
    message: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: a reply, or a failure (a dead letter) that may keep the reply it refused."""

    call: ApiCall
    attempts: tuple[Attempt, ...]
    reply: ApiReply | None
    failure: Kind | None = None

    def __post_init__(self) -> None:
        if self.reply is None and self.failure is None:
            raise ValueError("An outcome has a reply or a failure.")

    @property
    def cost(self) -> float:
        """Dollars of all attempts, those of unknown price left out."""
        return sum(attempt.cost or 0.0 for attempt in self.attempts)


@dataclass(frozen=True, slots=True)
class Failure:
    """A dead letter: why the call was given up, and the reply that was refused if there was one."""

    kind: Kind
    message: str
    reply: ApiReply | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a ledger holds; `cost` in dollars, `unpriced` counts answers whose price is unknown."""

    calls: int
    failures: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: float
    unpriced: int


class Ledger:
    """The open file. Safe to share between the threads of one process; a context manager.

    Raises StorageError where the disk is full or the folder cannot be written, and DataError where the
    file turns out to be damaged; either way the commits before stand.
    """

    def __init__(self, path: Path, database: sqlite3.Connection, held: ExitStack) -> None:
        self.path, self._database, self._held = path, database, held
        self._guard = threading.RLock()

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Ledger:
        """Open or create the ledger as its one writer, or with `read_only` look at an existing one.

        Raises RunLockedError if another process writes it, DataError if the file is torn, is something
        else or was written by another version, StorageError if the folder cannot be written.
        """
        with ExitStack() as stack:
            database = stack.enter_context(opened(path, read_only=read_only))
            return cls(path, database, stack.pop_all())

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of file and lock. Safe to call twice."""
        self._held.close()

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Write a group of outcomes in one commit: all of them are on the disk afterwards, or none."""
        if not outcomes:
            return
        settled = [_call_row(outcome) for outcome in outcomes]
        tried = [
            {**asdict(attempt), "key": row["key"], "message": _clean(attempt.message)}
            for outcome, row in zip(outcomes, settled, strict=True)
            for attempt in outcome.attempts
        ]
        with self._guard, sqlite_errors(self.path), transaction(self._database):
            self._database.executemany(SETTLE, settled)
            self._database.executemany(TRY, tried)

    def known(self, keys: Iterable[str]) -> dict[str, ApiReply]:
        """The replies that need no second call, by key."""
        rows = self._rows(
            f"SELECT key, reply FROM calls WHERE failure IS NULL AND {AMONG}", _listed(keys)
        )
        return {row["key"]: ApiReply(**json.loads(row["reply"])) for row in rows}

    def failed(self, keys: Iterable[str]) -> dict[str, Failure]:
        """The dead letters, by key."""
        rows = self._rows(f"SELECT * FROM calls WHERE failure IS NOT NULL AND {AMONG}", _listed(keys))
        return {row["key"]: Failure(row["failure"], row["message"], _reply(row)) for row in rows}

    def cost(self) -> float:
        """Dollars of every attempt so far, failed and superseded ones included."""
        return self.totals().cost

    def totals(self) -> Totals:
        """Counts, tokens and dollars over the whole file."""
        (row,) = self._rows("""
            SELECT (SELECT count(*) FROM calls) AS calls,
                (SELECT count(failure) FROM calls) AS failures, count(*) AS attempts,
                ifnull(sum(input_tokens), 0) AS input_tokens,
                ifnull(sum(output_tokens), 0) AS output_tokens,
                total(cost) AS cost, count(*) - count(cost) AS unpriced
            FROM attempts""")
        return Totals(**row)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One plain row per call, in the order of their first record: request, reply, failure, cost."""
        for row in self._rows(SPENT):
            request, reply = json.loads(row["request"]), asdict(_reply(row) or NO_REPLY)
            yield {
                "key": row["key"],
                **request,
                "reply": {**reply, "text": _clean(reply["text"])} if row["reply"] else None,
                "failure": row["failure"],
                "message": row["message"],
                "attempts": row["attempts"],
                "cost": row["cost"],
            }

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """`(calls, attempts)`: a row per call with its reply spread out, and a row per attempt."""
        import pandas as pd

        calls = [_flat(row) for row in self.rows()]
        attempts = self._rows("SELECT * FROM attempts ORDER BY started, key, number")
        return (
            pd.DataFrame(calls, columns=list(CALL_COLUMNS)).astype(CALL_COLUMNS),
            pd.DataFrame(attempts, columns=list(ATTEMPT_COLUMNS)).astype(ATTEMPT_COLUMNS),
        )

    def export(self, folder: Path) -> tuple[Path, ...]:
        """Write `calls.parquet`, `attempts.parquet` and `calls.jsonl`, each whole or not at all."""
        paths = tuple(folder / name for name in ("calls.parquet", "attempts.parquet", "calls.jsonl"))
        for path, table in zip(paths, self.tables(), strict=False):
            with atomic(path) as temporary:
                table.to_parquet(temporary, index=False)
        with atomic(paths[2]) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows())
        return paths

    def _rows(self, query: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        with self._guard, sqlite_errors(self.path):
            cursor = self._database.execute(query, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


AMONG = "key IN (SELECT value FROM json_each(?))"
NO_REPLY = ApiReply("", "stop", 0, 0)
CALL_COLUMNS = {
    **dict.fromkeys(("key", "provider", "model", "base_url", "prompt_version"), "str"),
    "sample": "int64",
    **dict.fromkeys(("order", "messages", "text", "finish", "reply_model", "request_id"), "str"),
    "input_tokens": "int64",
    "output_tokens": "int64",
    "failure": "str",
    "message": "str",
    "attempts": "int64",
    "cost": "float64",
}
ATTEMPT_COLUMNS = {
    "key": "str",
    "number": "int64",
    "started": "float64",
    "latency_s": "float64",
    "status": "Int64",
    "kind": "str",
    "message": "str",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cost": "float64",
}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `rows()` for a table: the reply spread out (empty where there is none)."""
    reply = row["reply"] or {**asdict(NO_REPLY), "finish": None}
    spread = {**row, **reply, "reply_model": reply["model"], "model": row["model"]}
    return {**spread, "messages": json.dumps(row["messages"], ensure_ascii=False)}


def _call_row(outcome: Outcome) -> dict[str, Any]:
    last = outcome.attempts[-1] if outcome.attempts else None
    return {
        "key": outcome.call.key,
        "request": json.dumps(asdict(outcome.call), ensure_ascii=False),
        # ASCII escapes carry what UTF-8 cannot: half of a surrogate pair that a model was cut in.
        "reply": json.dumps(asdict(outcome.reply)) if outcome.reply else None,
        "failure": outcome.failure,
        "message": _clean(last.message) if last and outcome.failure else "",
        "ended": last.started + last.latency_s if last else 0.0,
    }


def _reply(row: dict[str, Any]) -> ApiReply | None:
    return ApiReply(**json.loads(row["reply"])) if row["reply"] else None


def _listed(keys: Iterable[str]) -> tuple[str]:
    return (json.dumps(list(keys)),)


def _clean(text: str) -> str:
    r"""The text as UTF-8 can hold it: a lone surrogate becomes its escape, `\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
