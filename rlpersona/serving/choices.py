"""Choices between two served answers: written durably, read again as labels and as training rows.

    ROOT/serving/
      choices.jsonl      every choice, ties and skips among them: `rlpersona label ai NAME pairs=FILE`
      preferences.jsonl  chosen and rejected where most annotators prefer one: data.source=jsonl

`choices.jsonl` is what counts: a line is on the disk before it is acknowledged. `preferences.jsonl` is
made of it anew after each choice. Several processes may write, one at a time (an OS lock).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rlpersona.errors import DataError
from rlpersona.preferences.export import majority, preference_rows
from rlpersona.preferences.labels import Choice, Label, now
from rlpersona.preferences.pairs import Pair, pair_id
from rlpersona.store import atomic, storage_errors
from rlpersona.tasks.identity import unit

CHOICES, PREFERENCES, LOCK = "choices.jsonl", "preferences.jsonl", ".choices.lock"
PAIR = ("id", "prompt", "a", "b", "writer_a", "writer_b")
COLUMNS = (*PAIR, "choice", "annotator", "messages")
Verdict = Literal["left", "right", "tie", "skip"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two answers that were shown, who gave it, and what the service said of its origin."""

    text: str
    model: str
    response: str = ""
    finish: str = ""  # "length": the answer was cut there
    provenance: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What an annotator saw, and said of it. `messages` end with the user's turn.

    `blind`: sides were drawn by lot and models not named before the choice. `seconds` passed from the
    end of the later answer to the choice.
    """

    messages: tuple[tuple[str, str], ...]  # (role, content)
    left: Side
    right: Side
    verdict: Verdict
    annotator: str
    blind: bool = False
    seconds: float | None = None

    @property
    def prompt(self) -> str:
        """The user's text; of a longer conversation all turns, each headed by its speaker."""
        if len(self.messages) == 1:
            return self.messages[0][1]
        return "\n\n".join(f"{role.capitalize()}: {content}" for role, content in self.messages)


class ChoiceBook:
    """The choices of a folder. `store` may be called from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, seen: Seen) -> Row:
        """Record a choice; on the disk when this returns. Returns its row.

        An annotator's later word on the same two answers takes the place of the earlier one. Raises
        StorageError where the folder cannot be written, DataError where the file was tampered with.
        """
        with self._alone():
            rows = self.rows()
            row = _row(seen, rows)
            mine = [at for at, old in enumerate(rows) if _key(old) == _key(row)]
            if not mine:
                self._append(row)
                rows.append(row)
            elif rows[mine[0]]["choice"] != row["choice"]:
                rows[mine[0]] = row
                _write(self.folder / CHOICES, rows)
            _write(self.folder / PREFERENCES, training_rows(rows))
        return row

    def rows(self) -> list[Row]:
        """All choices in the order in which they were first made; a torn last line is left out."""
        path = self.folder / CHOICES
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
        rows = []
        for number, line in enumerate(data[: data.rfind(b"\n") + 1].split(b"\n")[:-1], start=1):
            try:
                row = json.loads(line)
                if missing := [column for column in COLUMNS if column not in row]:
                    raise ValueError(f"no {', '.join(missing)}")
            except (ValueError, TypeError, RecursionError) as error:
                raise DataError(
                    f"{path}, line {number}: not a choice ({error})", "Restore or remove the line."
                ) from None
            rows.append(row)
        return rows

    def counts(self) -> dict[str, int]:
        """How often each of a, b, tie and skip was chosen."""
        return dict(Counter(row["choice"] for row in self.rows()))

    def _append(self, row: Row) -> None:
        path = self.folder / CHOICES
        with storage_errors(path), path.open("a+b", buffering=0) as file:
            file.seek(0)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(whole)  # a killed writer's torn line, which nobody was told of
            try:
                data = _line(row)
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, "written in part")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(whole)
                raise
            _sync(self.folder)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LOCK).open("a")
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def training_rows(rows: list[Row]) -> list[Row]:
    """Rows of prompt, chosen and rejected where most annotators prefer one answer; ties give none."""
    pairs = {row["id"]: Pair(**{column: row[column] for column in PAIR}) for row in rows}
    books: dict[str, dict[str, Label]] = {}
    for row in rows:
        books.setdefault(row["annotator"], {})[row["id"]] = Label(row["id"], row["choice"])
    prompts = {row["id"]: row["messages"] for row in rows}
    decided = preference_rows(list(pairs.values()), majority(list(books.values())))
    return [{**row, "prompt": prompts[row["id"]]} for row in decided]


def _row(seen: Seen, rows: list[Row]) -> Row:
    """A choice as a line. Which answer is `a` depends on the texts alone, as does the id.

    Where the same two answers were stored before under other writers, as two steps of a run may answer
    alike, the columns `writer_*` stay those: a pair has one identity. `from_*` tell the true origin.
    """
    texts = sorted((seen.left.text, seen.right.text))
    a, b = texts if unit("first", seen.prompt, *texts) < 0.5 else texts[::-1]
    sides = {seen.left.text: seen.left, seen.right.text: seen.right}
    choice: Choice = seen.verdict if seen.verdict in ("tie", "skip") else "a"
    if seen.verdict in ("left", "right"):
        choice = "a" if (seen.left if seen.verdict == "left" else seen.right).text == a else "b"
    name = pair_id(seen.prompt, a, b)
    before = next((row for row in rows if row["id"] == name), None)
    return {
        "id": name,
        "prompt": seen.prompt,
        "a": a,
        "b": b,
        "choice": choice,
        "annotator": seen.annotator,
        "writer_a": before["writer_a"] if before else sides[a].model,
        "writer_b": before["writer_b"] if before else sides[b].model,
        "left": "a" if seen.left.text == a else "b",
        "blind": seen.blind,
        "seconds": seen.seconds,
        "at": now(),
        "messages": [{"role": role, "content": content} for role, content in seen.messages],
        "from_a": _origin(sides[a]),
        "from_b": _origin(sides[b]),
    }


def _origin(side: Side) -> Row:
    about = {"model": side.model, "response": side.response, "finish": side.finish}
    return {**about, "provenance": dict(side.provenance or {})}


def _key(row: Row) -> tuple[str, str]:
    return row["id"], row["annotator"]


def _line(row: Row) -> bytes:
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _write(path: Path, rows: list[Row]) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(b"".join(_line(row) for row in rows))
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable; a file's own fsync does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
