"""The labels of one annotator: an append-only file in which every key press is on the disk.

    {"pair": "9f..", "choice": "a", "sides": ["BA:a"], "at": "2026-11-21T10:00:00+00:00", "seconds": 4.2}
    {"undo": "9f..", "at": ...}

One line an event, written and synced before the next pair is shown, by one process at a time (an OS
lock). A killed writer leaves at most one torn last line, which is an event that nobody was told of; it
is cut off when the file is next opened to write. Anything else that cannot be read is refused with file
and line.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rlpersona.errors import ConfigError, DataError, RunLockedError, StorageError

Choice = Literal["a", "b", "tie", "skip"]
CHOICES = ("a", "b", "tie", "skip")
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Label:
    """What an annotator said of a pair. `choice` is None exactly when `error` says why there is none.

    `sides` tells for each order in which the pair was shown what was chosen in it: `"BA:a"` means that
    `b` stood first (or left) and `a` was chosen. Empty where order plays no part. `seconds` passed from
    showing the pair to the key.
    """

    pair: str
    choice: Choice | None
    sides: tuple[str, ...] = ()
    at: str = ""
    seconds: float | None = None
    error: str | None = None


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def label_file(folder: Path, annotator: str) -> Path:
    """Where an annotator's labels lie; ConfigError for a name that cannot be a file's."""
    if not NAME.fullmatch(annotator) or not annotator.strip("."):
        raise ConfigError(
            f"'{annotator}' cannot be an annotator's name.", "Use letters, digits, '.', '_' and '-'."
        )
    return folder / f"{annotator}.jsonl"


def annotators(folder: Path) -> list[str]:
    """Who has labels in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.jsonl"))


def read_labels(path: Path) -> dict[str, Label]:
    """The labels that stand, by pair, in the order in which they were given; undone ones are gone.

    A torn last line is left out. Raises DataError for any other line that is no event.
    """
    return _replay(path, _whole_lines(path)[0])


class LabelBook:
    """The labels of one annotator, open to write. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Lock the file and read it; RunLockedError if another process has it, StorageError if the
        folder cannot be written."""
        self.path = path
        with _storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
            _sync_folder(path.parent)
        try:
            self._lock()
            whole, length = _whole_lines(path)
            self.labels = _replay(path, whole)
            with _storage_errors(path):
                self._file.truncate(length)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> LabelBook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back. Safe to call twice."""
        self._file.close()

    def add(self, *labels: Label) -> None:
        """Record labels: on the disk when this returns. A label of a pair that has one replaces it."""
        self._append([asdict(label) for label in labels])
        for label in labels:
            self.labels.pop(label.pair, None)
            self.labels[label.pair] = label

    def undo(self) -> Label | None:
        """Take back the last label that stands, also one of an earlier day; None if there is none."""
        if not self.labels:
            return None
        last = next(reversed(self.labels.values()))
        self._append([{"undo": last.pair, "at": now()}])
        return self.labels.pop(last.pair)

    def _append(self, events: Sequence[dict[str, Any]]) -> None:
        data = "".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events).encode()
        with _storage_errors(self.path):
            before = os.fstat(self._file.fileno()).st_size
            try:
                written = self._file.write(data)
                if written != len(data):
                    raise OSError(errno.ENOSPC, "written in part")
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(before)
                raise

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunLockedError(
                f"Another process writes the labels of '{self.path.stem}'.",
                "Close it, or label under another name: --annotator NAME",
            ) from None


def _whole_lines(path: Path) -> tuple[list[bytes], int]:
    """The lines that end, and how many bytes they take."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return [], 0
    length = data.rfind(b"\n") + 1
    return data[:length].split(b"\n")[:-1], length


def _replay(path: Path, lines: Sequence[bytes]) -> dict[str, Label]:
    labels: dict[str, Label] = {}
    for number, line in enumerate(lines, start=1):
        try:
            event = json.loads(line)
            pair = event["undo"] if "undo" in event else event["pair"]
            if "undo" not in event and (event["choice"] is None) == (event.get("error") is None):
                raise ValueError("a label has a choice or an error")
            label = None if "undo" in event else Label(**event | {"sides": tuple(event["sides"])})
            if label is not None and label.choice not in (*CHOICES, None):
                raise ValueError(f"no choice {label.choice!r}")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: not a label ({error})", "Restore the file or remove the line."
            ) from error
        labels.pop(pair, None)
        if label is not None:
            labels[pair] = label
    return labels


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, a file's own fsync does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Cannot write {path}: {error.strerror}.",
            "Free space or choose another folder: --runs FOLDER",
        ) from error
