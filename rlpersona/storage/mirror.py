"""A run folder of this machine and its copy at a URI.

While a run works, a thread copies what has changed every few seconds, oldest first: a marker such as
`done.json` or `summary.json`, which is written after what it marks, arrives after it. So what stands at
the URI is at each moment a state in which a kill could have left the folder, only some seconds older,
and `--resume` deals with it in the same way. What a killed machine had not copied is done again.
"""

from __future__ import annotations

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
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlpersona.errors import PersonaError, RunLockedError
from rlpersona.storage.lease import BEAT, LEASE, Lease, read_lease, take_lease, write_lease
from rlpersona.storage.places import Entry, open_place

RECORD = ".mirror.json"
EVERY = 5.0  # seconds between two passes
SMALL = 2**20  # bytes up to which a file is read when it is listed
REST = 0.02  # seconds in which nothing may change for a listing to hold
QUIET = 50  # tries to find a moment in which nothing is written
DATABASE = ".sqlite"

STAGE = ".copying"  # in the folder: links to long files that are on their way

Signature = tuple[int, int, int]  # size, mtime_ns, inode: a link changes none of them
TOUCHED: set[Path] = set()  # folders that this process fetched or worked on
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """A file of the folder as it was when listed, with a hold on what it was.

    `content` is that of a short file, `kept` a link to a long one: Ray removes old checkpoints, and one
    that is listed and gone when its turn comes would leave a marker that points nowhere.
    """

    signature: Signature
    came: int = field(compare=False)  # ctime_ns: when it took this place, whatever its mtime says
    content: bytes | None = field(default=None, compare=False)
    kept: Path | None = field(default=None, compare=False)


class Mirror:
    """One run folder and its place at a URI. Only the process that holds the folder's lock works it."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.folder, self.place = folder, open_place(uri)
        record = _read_record(folder / RECORD)
        self._owner: str = record.get("owner", "")  # the lease under which this folder was last worked
        self._copied: dict[str, Signature | None] = {
            name: (size, written, changed)
            for name, (size, written, changed) in record.get("copied", {}).items()
        }
        self._seen = {name: Entry(*entry) for name, entry in record.get("seen", {}).items()}
        self._lease: Lease | None = None
        self._beaten = 0.0

    def pull(self) -> None:
        """Make the folder what stands at the URI, unless it is ahead of it or nothing has changed there.

        Ahead is a folder whose process was the last to work on the run.
        """
        TOUCHED.add(self.folder)
        there = read_lease(self.place)
        if there is not None and there.owner == self._owner:
            return
        listed = {name: entry for name, entry in self.place.files().items() if name != LEASE}
        if listed == self._seen:
            return
        for name in sorted(self._files().keys() - listed.keys()):
            (self.folder / name).unlink(missing_ok=True)
        for name, entry in listed.items():
            target = self.folder / name
            known = self._seen.get(name) == entry and entry.size > SMALL  # S3 tells whole seconds only
            if not (known and self._copied.get(name) == _signature(target)):
                self.place.fetch(name, target)
            if name.endswith(DATABASE):
                for tail in ("-wal", "-shm"):
                    target.with_name(target.name + tail).unlink(missing_ok=True)
        self._seen = listed
        self._copied = {name: _signature(self.folder / name) for name in listed}
        self._remember()

    def glance(self, names: Sequence[str]) -> None:
        """Fetch these files alone, unless the folder is ahead or holds them all as they stand there."""
        there = read_lease(self.place)
        if there is not None and there.owner == self._owner:
            return
        for name, entry in self.place.files(deep=False).items():
            if name in names and self._seen.get(name) != entry:
                self.place.fetch(name, self.folder / name)

    def push(self) -> None:
        """Copy what has changed, oldest first, then remove there what is gone here.

        Raises:
            RunLockedError: another process has taken the run.
            StorageError: storage does not answer; what was copied so far is in order.
        """
        try:
            for name, found in sorted(self._changed().items(), key=lambda item: item[1].came):
                self.beat()
                if not self._copy(name, found):
                    return  # it is gone: what was written after it waits for the next listing
                self._copied[name] = found.signature
        finally:
            shutil.rmtree(self.folder / STAGE, ignore_errors=True)
        for name in sorted(self._copied.keys() - self._files().keys()):
            self.beat()
            self.place.delete(name)
            del self._copied[name]

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
        self._lease = take_lease(self.place, self._owner)
        self.pull()
        self._owner = self._lease.owner
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remember()
        done = threading.Event()
        thread = threading.Thread(target=self._keep, args=(done,), daemon=True, name="mirror")
        thread.start()
        try:
            with _polite_end():
                yield
        except BaseException:
            done.set()
            thread.join()
            try:
                self._end()
            except PersonaError as error:  # the block's own error says more
                log.warning("%s %s", error, error.hint)
            raise
        done.set()
        thread.join()
        self._end()

    def stale(self) -> bool:
        """Whether this process left something in the folder that was not copied."""
        now = {name: found.signature for name, found in self._files().items()}
        return self.folder in TOUCHED and now != self._copied

    def _keep(self, done: threading.Event) -> None:
        while not done.wait(EVERY):
            try:
                self.beat()
                self.push()
                self._remember()
            except RunLockedError as error:
                log.warning("%s", error)
                return
            except PersonaError as error:
                log.warning("%s Tried again in %.0f s.", error, EVERY)

    def _end(self) -> None:
        """The last pass; the lease is free, or gone with a run that left nothing."""
        self._beaten = 0.0
        self.beat()
        self.push()
        if self._files():
            assert self._lease is not None
            write_lease(self.place, replace(self._lease, free=True))
            self._seen = {name: one for name, one in self.place.files().items() if name != LEASE}
            self._remember()
        else:
            self.place.delete(LEASE)
        self._lease = None

    def _files(self) -> dict[str, Found]:
        """What is to be copied: not locks, nor what is still being written."""
        found = {}
        for path in _walk(self.folder):
            listed = _listed(path)
            if listed is not None:
                found[path.relative_to(self.folder).as_posix()] = listed
        return found

    def _changed(self) -> dict[str, Found]:
        """The files that changed since they were copied, as they were at one moment."""
        for _ in range(QUIET):
            before = self._files()
            changed = {n: f for n, f in before.items() if self._copied.get(n) != f.signature}
            shutil.rmtree(self.folder / STAGE, ignore_errors=True)
            read = {name: self._read(name, found) for name, found in changed.items()}
            if changed:
                time.sleep(REST)  # longer than a write in place leaves its file torn
            if self._files() == before and not any(_torn(*item) for item in read.items()):
                return read
        return {}  # a busy moment; the next pass is soon

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
                snapshot = Path(folder) / path.name
                with closing(sqlite3.connect(path)) as live, closing(sqlite3.connect(snapshot)) as copy:
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


def _walk(folder: Path) -> Iterator[Path]:
    """The files below, without those of locks, records and unfinished writes."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        yield from _inside(path)


def _inside(path: Path) -> Iterator[Path]:
    try:
        if path.is_dir():
            for child in sorted(path.iterdir()):
                if not (child.name.startswith(".") and (child.is_dir() or child.suffix == ".tmp")):
                    yield from _inside(child)
        elif not path.name.endswith((f"{DATABASE}-wal", f"{DATABASE}-shm")):
            yield path
    except FileNotFoundError:  # a folder that was taken away meanwhile
        return


def _signature(path: Path) -> Signature | None:
    listed = _listed(path)
    return None if listed is None else listed.signature


def _listed(path: Path) -> Found | None:
    """A file as it is, a database with what waits in its log; None where it is gone."""
    try:
        said = [path.stat()]
        waiting = path.with_name(f"{path.name}-wal")
        if path.suffix == DATABASE and waiting.exists():
            said.append(waiting.stat())
    except FileNotFoundError:
        return None
    size, written = sum(one.st_size for one in said), max(one.st_mtime_ns for one in said)
    return Found((size, written, said[0].st_ino), max(one.st_ctime_ns for one in said))


def _torn(name: str, found: Found) -> bool:
    """Whether a file is JSON in the middle of being written: Ray writes its own in place."""
    if found.content is None or not name.endswith(".json"):
        return False
    try:
        json.loads(found.content)
    except ValueError:
        return True
    return False


def _read_record(file: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
