"""What a live policy drew, and what its draws earned: one SQLite file, `RUN/serving/feedback.sqlite`.

Replicas draw and record side by side: SQLite puts their commits in one order, and the number of a
reward is its place in it. A draw and a reward are on the disk (WAL, synchronous=FULL) when the call
returns. The index of the WAL is memory that processes share, so all replicas that serve a policy have
to work on one machine; on several, give the policy a service of one replica.
"""

from __future__ import annotations

import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rlpersona.errors import (
    ConflictError,
    DataError,
    RunLockedError,
    ServeError,
    StorageError,
    UnknownResponseError,
)
from rlpersona.judges.database import sqlite_errors, transaction
from rlpersona.store import Run, storage_errors

FORMAT = 1  # PRAGMA user_version
APPLICATION = 0x524C5046  # PRAGMA application_id: "RLPF"
WAIT = 10.0  # seconds for another process's commit
FULL = "Free space there, or let the service write there; then ask again."
TORN = "Restore it from a copy; or move it away: the policy begins again where its search ended."
SCHEMA = (
    "CREATE TABLE start (policy TEXT NOT NULL)",
    """CREATE TABLE draws (
        response TEXT PRIMARY KEY,
        arm INTEGER NOT NULL,
        persona TEXT NOT NULL,
        chance REAL,
        seen INTEGER NOT NULL,
        time REAL NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE rewards (
        id INTEGER PRIMARY KEY,
        response TEXT NOT NULL UNIQUE REFERENCES draws,
        reward REAL NOT NULL CHECK (reward BETWEEN 0 AND 1),
        time REAL NOT NULL
    )""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)
DRAW = "SELECT response, arm, persona, chance, seen FROM draws WHERE response = ?"
REWARDS = """
    SELECT id, arm, reward, chance FROM rewards JOIN draws USING (response) WHERE id > ? ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Draw:
    """The arm that answers a response. `chance` is how likely the policy was to draw it, None where that
    does not matter; `seen` the number of the last reward that the policy had learned from."""

    response: str
    arm: int
    persona: str
    chance: float | None
    seen: int


@dataclass(frozen=True, slots=True)
class Reward:
    """What a draw earned, in [0, 1]; `number` counts the rewards of a policy from 1, without gaps."""

    number: int
    arm: int
    reward: float
    chance: float | None


class Book:
    """The open file; threads of a process may share it, other processes open their own."""

    def __init__(self, path: Path, database: sqlite3.Connection) -> None:
        self.path, self._database = path, database
        self._guard = threading.RLock()

    @classmethod
    def open(cls, path: Path) -> Book:
        """Open the file, or make it.

        Raises:
            DataError: it is torn, another kind of file, or of another version of rlpersona.
            StorageError: the folder cannot be written.
        """
        # The first to come sets the journal's mode, for which SQLite does not wait its turn.
        with _alone(path), book_errors(path):
            database = sqlite3.connect(path, WAIT, isolation_level=None, check_same_thread=False)
            try:
                _prepare(path, database)
            except BaseException:
                database.close()
                raise
        return cls(path, database)

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        with self._guard:
            self._database.close()

    def begin(self, policy: str) -> None:
        """Say which policy (a hash of its state) the first draw was made from.

        Raises:
            DataError: it was another one: what was recorded does not belong to this one.
        """
        with self._guard, book_errors(self.path), transaction(self._database):
            found = self._database.execute("SELECT policy FROM start").fetchone()
            if found is None:
                self._database.execute("INSERT INTO start VALUES (?)", (policy,))
        if found is not None and found[0] != policy:
            raise DataError(
                f"{self.path} holds feedback for another policy than the run has.",
                "Put the run's checkpoints back as they were, or move the file away.",
            )

    def keep_draw(self, draw: Draw) -> Draw:
        """Write a draw and return it; if that response has one already, return that instead."""
        with self._guard, book_errors(self.path):
            values = (draw.response, draw.arm, draw.persona, draw.chance, draw.seen, time.time())
            insert = "INSERT INTO draws VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
            if self._database.execute(insert, values).rowcount:
                return draw
            return Draw(*self._database.execute(DRAW, (draw.response,)).fetchone())

    def draw_of(self, response: str) -> Draw | None:
        """The draw that answers a response."""
        with self._guard, book_errors(self.path):
            row = self._database.execute(DRAW, (response,)).fetchone()
        return None if row is None else Draw(*row)

    def keep_reward(self, response: str, reward: float) -> bool:
        """Write what a draw earned; False if the same was written before.

        Raises:
            UnknownResponseError: there is no such draw.
            ConflictError: the draw earned something else before; that stays.
        """
        with self._guard, book_errors(self.path), transaction(self._database):
            if self._database.execute(DRAW, (response,)).fetchone() is None:
                raise UnknownResponseError(f"No policy drew for response {response!r}.")
            earned = "SELECT reward FROM rewards WHERE response = ?"
            before = self._database.execute(earned, (response,)).fetchone()
            if before is None:
                insert = "INSERT INTO rewards (response, reward, time) VALUES (?, ?, ?)"
                self._database.execute(insert, (response, reward, time.time()))
        if before is not None and before[0] != reward:
            raise ConflictError(
                f"Response {response!r} has the reward {before[0]:g} already, not {reward:g}.",
                "A reward is given once: the policy may have learned from it.",
            )
        return before is None

    def rewards_after(self, number: int) -> list[Reward]:
        """The rewards after that number, in their order."""
        with self._guard, book_errors(self.path):
            return [Reward(*row) for row in self._database.execute(REWARDS, (number,))]


def book_path(run: Run) -> Path:
    """Where the draws and rewards of a run's policy are kept."""
    return run.folder / "serving" / "feedback.sqlite"


@contextmanager
def book_errors(path: Path) -> Iterator[None]:
    """SQLite's errors as those of this project; a file that stays busy is no fault of the request."""
    try:
        with sqlite_errors(path):
            yield
    except RunLockedError as error:
        raise ServeError(
            f"Another process has held {path} for {WAIT:g} s.", "Ask again; or end that process."
        ) from error
    except (StorageError, DataError) as error:
        if isinstance(error.__cause__, sqlite3.Error):  # else it is ours and says what to do
            error.hint = FULL if isinstance(error, StorageError) else TORN
        raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("a")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _prepare(path: Path, database: sqlite3.Connection) -> None:
    """Refuse what is no such file before anything in it is changed; begin an empty one."""
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (parts,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    empty = application == version == parts == 0
    if not empty and (application, version) != (APPLICATION, FORMAT):
        raise DataError(
            f"{path} holds no feedback, or that of another version of rlpersona.", "Move it away."
        )
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    if empty:
        with transaction(database):
            for statement in SCHEMA:
                database.execute(statement)
