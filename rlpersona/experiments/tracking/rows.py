"""The rows of `metrics.jsonl` as they are appended, and what of a row is a number."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpersona.store import METRICS

Row = dict[str, Any]
PARTS = ("", "conditions/*/", "stages/*/")  # of a run folder that may have rows


def series_of(folder: Path) -> dict[str, Path]:
    """The parts of a run that have rows ("" is the run as a whole), each with its folder."""
    files = [path for part in PARTS for path in sorted(folder.glob(f"{part}{METRICS}"))]
    return {path.parent.relative_to(folder).as_posix().strip("."): path.parent for path in files}


def step_of(row: Row) -> int:
    """The number of a row: the round of a search or the step of a training."""
    return int(row["round"] if "round" in row else row["step"])


def scalars(row: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    """Names and values of the finite numbers of a row, its own number left out; `a: {b: 1}` is `a/b`."""
    for key, value in row.items():
        name = f"{path}{key}"
        if isinstance(value, Mapping):
            yield from scalars(value, f"{name}/")
        elif isinstance(value, int | float) and math.isfinite(value) and name not in ("round", "step"):
            yield name, float(value)


@dataclass(frozen=True)
class Update:
    """What a look at a file found: `rows`, all that the file holds if `anew`, of which the last `fresh`
    were never seen before; otherwise those that were appended."""

    rows: list[Row]
    anew: bool
    fresh: int


class RowTail:
    """The rows that were added to a file since the last look.

    The file may not be there yet, and may end in half a line (kept until the rest comes). A training
    that goes on at its last checkpoint replaces it by a shorter one: then it is read anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode: int | None = None
        self._offset = 0
        self._rest = b""
        self._seen: list[int] = []  # hashes of the lines

    def read(self) -> Update | None:
        """What is new; None where nothing is."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                anew = status.st_ino != self._inode or status.st_size < self._offset
                if not anew and status.st_size == self._offset:
                    return None
                if anew:
                    self._inode, self._offset, self._rest = status.st_ino, 0, b""
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return None
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        if not lines and not anew:
            return None
        hashes, known = list(map(hash, lines)), 0
        if anew:
            known = sum(1 for _ in _same(self._seen, hashes))
            self._seen = []
        self._seen += hashes
        return Update([json.loads(line) for line in lines], anew, len(hashes) - known)


def _same(one: list[int], other: list[int]) -> Iterator[int]:
    """The common beginning."""
    for a, b in zip(one, other, strict=False):
        if a != b:
            return
        yield a
