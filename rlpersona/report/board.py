"""What several stages at work show: a line each on a terminal, elsewhere rare plain lines."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from rlpersona.report.progress import Throttle
from rlpersona.report.terminal import Terminal

POLL = 0.3  # seconds between two looks at a file of steps


class Board:
    """A line for each part of the work; threads may write at once."""

    def __init__(self, file: TextIO | None = None) -> None:
        """`file` is stderr if None."""
        self._terminal = Terminal(sys.stderr if file is None else file)
        self._lines: dict[str, tuple[str, float]] = {}
        self._due: dict[tuple[str, str], Throttle] = {}
        self._lock = threading.Lock()
        self.live = (
            Live(console=self._terminal.console, auto_refresh=False, transient=True)
            if self._terminal.tty
            else None
        )

    def show(self, name: str, what: str, done: int, total: int, note: str = "") -> None:
        """`"sft: training 20/60, loss 1.234"`; at the end of `what` always, else as often as useful."""
        share = done / total if total else 1.0
        line = f"{what} {done:,}/{total:,}" + (f", {note}" if note else "")
        # A lost terminal must not end the work.
        with self._lock, suppress(OSError, ValueError):
            if self.live is not None:
                self._lines[name] = (line, share)
                self._draw()
            elif self._due.setdefault((name, what), Throttle()).due(share) or done == total:
                self._terminal.console.print(f"{name}: {line}", soft_wrap=True)

    def say(self, name: str, text: str) -> None:
        """A line that stays, and the end of the name's moving one."""
        with self._lock, suppress(OSError, ValueError):
            if self.live is not None:
                self._lines.pop(name, None)
                self._draw()
            self._terminal.console.print(self._terminal.text(f"{name}: {text}"), soft_wrap=True)

    def counting(self, name: str, what: str) -> Callable[[int, int], None]:
        """`show` for work that tells how much of how much is done."""
        return lambda done, total: self.show(name, what, done, total)

    @contextmanager
    def following(self, name: str, file: Path) -> Iterator[None]:
        """Show the steps that a training, in whatever process, adds to `file` while the block works."""
        over = threading.Event()

        def follow() -> None:
            shown = ""
            while not over.wait(POLL):
                shown = self._last_step(name, file, shown)
            self._last_step(name, file, shown)

        thread = threading.Thread(target=follow, name=f"steps of {name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=5)

    def _last_step(self, name: str, file: Path, shown: str) -> str:
        """Show the last whole line of a file unless that is `shown`; it is returned."""
        try:
            lines = file.read_text(encoding="utf-8").split("\n")[:-1]
            if not lines or lines[-1] == shown:
                return shown
            step = json.loads(lines[-1])
            self.show(name, "training", step["step"], step["steps"], f"loss {step['loss']:.3f}")
        except (OSError, ValueError, KeyError):
            return shown
        return lines[-1]

    def _draw(self) -> None:
        assert self.live is not None
        table = Table.grid(padding=(0, 2))
        for name, (line, share) in self._lines.items():
            table.add_row(name, ProgressBar(total=1.0, completed=share, width=24), line)
        self.live.update(table, refresh=True)


@contextmanager
def board(file: TextIO | None = None) -> Iterator[Board]:
    """A board while the block works."""
    shown = Board(file)
    if shown.live is None:
        yield shown
        return
    with shown.live:
        yield shown
