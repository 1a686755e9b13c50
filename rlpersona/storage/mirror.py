"""A run folder of this machine and its copy at a URI.

While a run works, a thread copies what has changed every few seconds, oldest first: a marker such as
`done.json` or `summary.json`, which is written after what it marks, arrives after it. What grows (rows,
databases) arrives before either, and what is gone here goes there last. So what stands at the URI is at
each moment a state in which a kill could have left the folder, only some seconds older, and `--resume`
deals with it in the same way. What a killed machine had not copied is done again.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import signal
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlpersona.errors import PersonaError, RunLockedError, StorageError
from rlpersona.storage.lease import BEAT, LEASE, Lease, read_lease, take_lease, write_lease
from rlpersona.storage.listing import (
    DATABASE,
    SMALL,
    Found,
    Signature,
    listed,
    remove,
    signature,
    torn,
    turn,
    walk,
)
from rlpersona.storage.places import Entry, open_place

RECORD = ".mirror.json"
EVERY = 5.0  # seconds between two passes
REST = 0.02  # seconds in which nothing may change for a listing to hold
QUIET = 50  # tries to find a moment in which nothing is written
PASSES = 3  # of the end, where something is written even then
SERVED = "serving/"  # a service may have these open: what this machine has of them is never replaced
STAGE = ".copying"  # in the folder: links to long files that are on their way

TOUCHED: set[Path] = set()  # folders that this process fetched or worked on
log = logging.getLogger(__name__)


class Mirror:
    """One run folder and its place at a URI. Only the process that holds the folder's lock works it."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.place = folder, open_place(uri)
        self._lease: Lease | None = None
        self._beaten = 0.0
        self._recall()

    def _recall(self) -> None:
        """What the processes of this machine noted of the folder."""
        record = _read_record(self.folder / RECORD)
        self._owner: str = record.get("owner", "")  # the lease under which this folder was last worked
        self._copied: dict[str, Signature | None] = {
            name: seen and (seen[0], seen[1], seen[2]) for name, seen in record.get("copied", {}).items()
        }
        self._seen = {name: Entry(*entry) for name, entry in record.get("seen", {}).items()}

    def pull(self) -> None:
        """Make the folder what stands at the URI, unless it is ahead of it or nothing has changed there.

        Ahead is a folder whose process was the last to work on the run. What a service of this machine
        recorded in it stays.
        """
        TOUCHED.add(self.folder)
        with self._alone():
            there = read_lease(self.place)
            if there is None or there.owner != self._owner:
                self._fetch()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other process of this machine bring the folder up to date, or begin to work in it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / f".{self.folder.name}.pull").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._recall()
            yield

    def _fetch(self) -> None:
        there = self._there()
        if there == self._seen:
            return
        kept = {name for name in self._files() if name.startswith(SERVED)}
        for name in sorted(self._files().keys() - there.keys() - kept):
            remove(self.folder, name)
        for name, entry in there.items():
            target = self.folder / name
            if name in kept:
                continue
            known = self._seen.get(name) == entry and entry.size > SMALL  # S3 tells whole seconds only
            if not (known and self._copied.get(name) == signature(target)):
                self.place.fetch(name, target, self._quietly)
                for tail in ("-wal", "-shm") if name.endswith(DATABASE) else ():
                    target.with_name(target.name + tail).unlink(missing_ok=True)
        self._seen = there
        written = {name: signature(self.folder / name) for name in there.keys() - kept}
        self._copied = written | {name: self._copied.get(name) for name in kept & there.keys()}
        self._remember()

    def glance(self, names: Sequence[str]) -> None:
        """Fetch these files alone, unless the folder is ahead or holds them all as they stand there."""
        there = read_lease(self.place)
        if there is not None and there.owner == self._owner:
            return
        for name, entry in self.place.files(deep=False).items():
            if name in names and self._seen.get(name) != entry:
                self.place.fetch(name, self.folder / name)

    def _there(self) -> dict[str, Entry]:
        return {name: entry for name, entry in self.place.files().items() if name != LEASE}

    def push(self) -> bool:
        """Copy what has changed, oldest first, then remove there what was gone here by then.

        False where that waits for the next pass, since there was no quiet moment to look at the folder.

        Raises:
            RunLockedError: another process has taken the run.
            StorageError: storage does not answer; what was copied so far is in order.
        """
        try:
            looked = self._changed()
            if looked is None:
                return False
            changed, gone = looked
            for name, found in sorted(changed.items(), key=turn):
                self.beat()
                if not self._copy(name, found):
                    return False  # it is gone: what was written after it waits for the next listing
                self._copied[name] = found.signature
        finally:
            shutil.rmtree(self.folder / STAGE, ignore_errors=True)
        for name in gone:
            self.beat()
            self.place.delete(name)
            del self._copied[name]
        return True

    def beat(self) -> None:
        """Say that we work, if it is time to; RunLockedError where another process took the run."""
        if self._lease is None or time.monotonic() < self._beaten + BEAT:
            return
        there = read_lease(self.place)
        if there is None or there.owner != self._lease.owner:
            raise RunLockedError(
                f"Another process took over {self.place.uri}; nothing more is copied there.",
                f"What was done here since lies in {self.folder}. Let the other one finish.",
            )
        self._lease = replace(self._lease, beat=self._lease.beat + 1)
        write_lease(self.place, self._lease)
        self._beaten = time.monotonic()

    def _quietly(self) -> None:
        """A beat in the middle of a file; what it has to say is said by the next one."""
        with suppress(PersonaError):
            self.beat()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Own the run at the URI while the block works, and copy what it writes.

        Raises:
            RunLockedError: another process works on it, or took it over meanwhile.
            StorageError: storage does not answer at the start or the end; in between it is tried again.
        """
        with self._alone():
            self._lease = take_lease(self.place, self._owner)
            ahead = bool(self._owner) and self._lease.after == self._owner
            if not ahead:
                self._fetch()
            self._owner = self._lease.owner
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remember()
            if ahead:  # a process that was killed may have copied more than it noted
                self._copied = {**dict.fromkeys(self._there()), **self._copied}
        done, failed = threading.Event(), list[Exception]()
        # The last pass is the thread's, too: an interrupt within a file would leave half of it there.
        thread = threading.Thread(target=self._keep, args=(done, failed), daemon=True, name="mirror")
        thread.start()
        try:
            with _polite_end():
                yield
        except BaseException:
            done.set()
            thread.join()
            for error in failed:  # the block's own error says more
                log.warning("%s %s", error, getattr(error, "hint", ""))
            raise
        done.set()
        thread.join()
        for error in failed:
            raise error

    def stale(self) -> bool:
        """Whether this process left something in the folder that was not copied."""
        return self.folder in TOUCHED and self._copied != {
            name: found.signature for name, found in self._files().items()
        }

    def _keep(self, done: threading.Event, failed: list[Exception]) -> None:
        try:
            while not done.wait(EVERY):
                try:
                    self._pass()
                except RunLockedError as error:
                    log.warning("%s", error)
                    done.wait()
                except PersonaError as error:
                    log.warning("%s Tried again in %.0f s.", error, EVERY)
            self._end()
        except Exception as error:  # the border between threads: raised on the other side
            failed.append(error)

    def _pass(self) -> None:
        self.beat()
        with _local_errors(self.folder):
            self.push()
            self._remember()

    def _end(self) -> None:
        """The last pass; the lease is free, or gone with a run that left nothing."""
        self._beaten = 0.0
        self.beat()
        with _local_errors(self.folder):
            if not any(self.push() for _ in range(PASSES)):
                raise StorageError(
                    f"{self.folder} is not copied to {self.place.uri}: something still writes there.",
                    "When it has ended, use --resume on this machine.",
                )
        if self._files():
            assert self._lease is not None
            write_lease(self.place, replace(self._lease, free=True))
            self._seen = self._there()
            with _local_errors(self.folder):
                self._remember()
        else:
            self.place.delete(LEASE)
        self._lease = None

    def _files(self) -> dict[str, Found]:
        """What is to be copied: not locks, nor what is still being written."""
        found = {}
        for path in walk(self.folder):
            one = listed(path)
            if one is not None:
                found[path.relative_to(self.folder).as_posix()] = one
        return found

    def _changed(self) -> tuple[dict[str, Found], list[str]] | None:
        """The files that changed since they were copied, as they were at one moment, and those that were
        gone at it; None where nothing rested.
        """
        for tries in range(QUIET, 0, -1):
            self.beat()
            before = self._files()
            changed = {n: f for n, f in before.items() if self._copied.get(n) != f.signature}
            shutil.rmtree(self.folder / STAGE, ignore_errors=True)
            read = {name: self._read(name, found) for name, found in changed.items()}
            if changed:
                time.sleep(REST)  # longer than a write in place leaves its file torn
            # What is torn for so long is not being written: a killed process left it so.
            if self._files() == before and (tries == 1 or not any(map(torn, read.items()))):
                return read, sorted(self._copied.keys() - before.keys())
        return None

    def _read(self, name: str, found: Found) -> Found:
        path, link = self.folder / name, self.folder / STAGE / str(found.signature[2])
        try:
            if name.endswith(DATABASE):
                return found
            if found.signature[0] <= SMALL:
                return replace(found, content=path.read_bytes())
            link.parent.mkdir(exist_ok=True)
            os.link(path, link)
            return replace(found, kept=link)
        except OSError:  # gone since, as the listing that follows tells; or a disk without links
            return found

    def _copy(self, name: str, found: Found) -> bool:
        """Copy one file; False where it is gone."""
        path = found.kept or self.folder / name
        if found.content is not None:
            self.place.write(name, found.content)
        elif name.endswith(DATABASE):
            with tempfile.TemporaryDirectory() as folder:
                snapshot, uri = Path(folder) / path.name, f"{path.absolute().as_uri()}?mode=rw"
                with (
                    closing(sqlite3.connect(uri, uri=True)) as live,  # one that is gone is not made
                    closing(sqlite3.connect(snapshot)) as copy,
                ):
                    live.backup(copy)
                self.place.write(name, snapshot, self._quietly)
        else:
            try:
                self.place.write(name, path, self._quietly)
            except FileNotFoundError:
                return False
        return True

    def _remember(self) -> None:
        if not self.folder.is_dir():
            return
        record = {
            "owner": self._owner,
            "copied": self._copied,
            "seen": {name: (entry.size, entry.mtime_ns) for name, entry in self._seen.items()},
        }
        temporary = self.folder / f"{RECORD}.tmp"
        temporary.write_text(json.dumps(record), encoding="utf-8")
        temporary.replace(self.folder / RECORD)


@contextmanager
def _polite_end() -> Iterator[None]:
    """SIGTERM as an exception, so that the last pass is made; where nobody else has a use for it."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _local_errors(folder: Path) -> Iterator[None]:
    """What this machine's disk or a database refuses, as a StorageError."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"{folder} cannot be copied: {error}.", "Look at the disk of this machine."
        ) from error


def _read_record(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
