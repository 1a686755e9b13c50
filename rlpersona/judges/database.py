"""A SQLite file that is opened with care: one writer, durable commits, no file taken for another.

WAL with synchronous=FULL: a commit is on the disk when it returns, and readers go on beside the writer.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path

from rlpersona.errors import DataError, RunLockedError, StorageError
from rlpersona.store import storage_errors

FORMAT = 1  # PRAGMA user_version
APPLICATION = 0x524C504A  # PRAGMA application_id: "RLPJ"

SCHEMA = (
    """CREATE TABLE calls (
        key TEXT PRIMARY KEY,
        request TEXT NOT NULL,
        reply TEXT,
        failure TEXT,
        message TEXT NOT NULL,
        ended REAL NOT NULL,
        CHECK (reply IS NOT NULL OR failure IS NOT NULL)
    )""",
    """CREATE TABLE attempts (
        key TEXT NOT NULL REFERENCES calls,
        number INTEGER NOT NULL,
        started REAL NOT NULL,
        latency_s REAL NOT NULL,
        status INTEGER,
        kind TEXT,
        message TEXT NOT NULL,
        input_tokens INTEGER NOT NULL,
        output_tokens INTEGER NOT NULL,
        cost REAL,
        PRIMARY KEY (key, started, number)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {FORMAT}",
)


@contextmanager
def opened(path: Path, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to the ledger while the block works: the one writer, or one of many readers.

    Statements commit by themselves outside `transaction`; threads may share the connection if they take
    turns. Raises RunLockedError, DataError or StorageError as `Ledger.open` does.
    """
    if read_only and not path.is_file():
        raise DataError(f"There is no ledger {path}.", "Label something first: rlpersona label ai")
    with nullcontext() if read_only else _writing(path):
        with sqlite_errors(path):
            address = _reading(path) if read_only else path.absolute().as_uri()
            database = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        with closing(database):
            with sqlite_errors(path):
                _prepare(path, database, read_only)
            yield database


def _reading(path: Path) -> str:
    """The address for a reader, which wants to write the index of the WAL beside the file; where it may
    not, and nobody has left a WAL behind, the file is all there is."""
    alone = not os.access(path.parent, os.W_OK, effective_ids=True) and not _wal(path).exists()
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"


def _wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _prepare(path: Path, database: sqlite3.Connection, read_only: bool) -> None:
    """Refuse what is no ledger of this version, before anything in it is changed; begin an empty one."""
    size, settled = path.stat().st_size, not _wal(path).exists()
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (parts,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    empty = application == version == parts == 0
    if application != APPLICATION and (read_only or not empty):
        raise DataError(f"{path} is not a ledger of judge calls.", "Name another file, or move it away.")
    if version != FORMAT and not empty:
        raise DataError(
            f"{path} has ledger format {version}; this version of rlpersona reads format {FORMAT}.",
            "Use the version of rlpersona that wrote it, or start a new run.",
        )
    (health,) = database.execute("PRAGMA quick_check(1)").fetchone()
    (page,) = database.execute("PRAGMA page_size").fetchone()
    if settled and size % page:
        # SQLite reads what is missing of the last page as zeros; a live WAL would hold it.
        health = "its last page is cut short"
    if health != "ok":
        raise _damaged(path, health)
    if read_only:
        return
    if empty:
        with transaction(database):
            for statement in SCHEMA:
                database.execute(statement)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """One commit when the block ends well, and nothing otherwise."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back when the disk is full; a second ROLLBACK would be an error.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Hold the ledger against every other writer; RunLockedError if there is one."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(path.name + ".lock").open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLockedError(
                f"Another process writes {path}.", "Wait for it or end it; then use --resume."
            ) from None
        yield


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's error codes into the errors of this project."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            raise StorageError(
                f"No space left on the disk of {path}.", "Free some, then use --resume."
            ) from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise RunLockedError(
                f"Another process holds {path}.", "End it, then use --resume."
            ) from error
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise _damaged(path, str(error)) from error
        if code in UNWRITABLE:
            raise StorageError(
                f"Cannot write {path}: {error}.", "Choose another folder: --runs FOLDER"
            ) from error
        raise


UNWRITABLE = {
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def _damaged(path: Path, detail: str) -> DataError:
    return DataError(
        f"{path} is torn or no ledger: {detail}.",
        "Restore it from a copy, or move it away and pay for its calls again.",
    )
