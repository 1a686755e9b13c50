"""Reading a file of lines while another process or thread appends to it."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from rlpersona.report.records import Round


class RoundTail:
    """The rounds that were appended to `metrics.jsonl` since the last look.

    The file may not be there yet, may end in half a line (kept until the rest comes), and may be
    replaced by another one (read again from its beginning). Lines that are no round are skipped:
    a view must not end the work that it shows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._inode = 0
        self._offset = 0
        self._rest = b""

    def read(self) -> list[Round]:
        """The rounds whose lines have been completed since the last call."""
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._inode, self._offset, self._rest = status.st_ino, 0, b""
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        rounds = []
        for line in lines:
            try:
                rounds.append(Round.model_validate_json(line))
            except ValidationError:
                continue
        return rounds
