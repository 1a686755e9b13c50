"""What of a run folder is copied: its files as they are at one moment, and in what order they go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

SMALL = 2**20  # bytes up to which a file is read when it is listed
DATABASE = ".sqlite"
# A marker may mark rows that others have followed since, and so be older than their file. The config is
# older still: without it a folder is no run.
FIRST = (".yaml", ".jsonl", DATABASE)

Signature = tuple[int, int, int]  # size, mtime_ns, inode: a link changes none of them


@dataclass(frozen=True)
class Found:
    """A file of the folder as it was when listed, with a hold on what it was.

    `content` is that of a short file, `kept` a link to a long one: Ray removes old checkpoints, and one
    that is listed and gone when its turn comes would leave a marker that points nowhere.
    """

    signature: Signature
    came: int = field(compare=False)  # ns: when it took this place
    content: bytes | None = field(default=None, compare=False)
    kept: Path | None = field(default=None, compare=False)


def turn(item: tuple[str, Found]) -> tuple[bool, int]:
    """The place of a file in a pass."""
    name, found = item
    return not name.endswith(FIRST), found.came


def remove(folder: Path, name: str) -> None:
    """Remove a file, and the folders that are empty then."""
    (folder / name).unlink(missing_ok=True)
    for parent in list(Path(name).parents)[:-1]:
        with suppress(OSError):
            (folder / parent).rmdir()


def walk(folder: Path) -> Iterator[Path]:
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


def signature(path: Path) -> Signature | None:
    """By what a file is known again; None where it is gone."""
    found = listed(path)
    return None if found is None else found.signature


def listed(path: Path) -> Found | None:
    """A file as it is, a database with what waits in its log; None where it is gone."""
    try:
        said = [path.stat()]
        waiting = path.with_name(f"{path.name}-wal")
        if path.suffix == DATABASE and waiting.exists():
            said.append(waiting.stat())
    except FileNotFoundError:
        return None
    size, written = sum(one.st_size for one in said), max(one.st_mtime_ns for one in said)
    came = max(one.st_ctime_ns for one in said)  # whatever its mtime says: a copy may keep an old one
    if size > SMALL:  # no marker, and the links that are made to it move its ctime
        came = min(came, written)
    return Found((size, written, said[0].st_ino), came)


def torn(item: tuple[str, Found]) -> bool:
    """Whether a file is JSON in the middle of being written: Ray writes its own in place."""
    name, found = item
    if found.content is None or not name.endswith(".json"):
        return False
    try:
        json.loads(found.content)
    except ValueError:
        return True
    return False
