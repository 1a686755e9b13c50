"""The view of a sweep in progress: trainings done and running, steps, rate, time left."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from rlpersona.report import words
from rlpersona.report.progress import Throttle
from rlpersona.report.terminal import Terminal
from rlpersona.store import METRICS

POLL = 0.5  # seconds between looks at the files
DONE = "done.json"
TAIL = 2**16  # bytes of a file of metrics that surely hold its last line


@dataclass(frozen=True)
class State:
    """How far the trainings are. `steps` counts those of all; `total` is None where unknown."""

    trainings: int
    done: int
    running: int
    steps: int
    total: int | None

    @property
    def share(self) -> float:
        """How much of the work is done, 0 to 1."""
        if self.total:
            return min(1.0, self.steps / self.total)
        return self.done / self.trainings if self.trainings else 1.0


def state_of(folders: Sequence[Path], steps: int | None) -> State:
    """Read it from the folders of the trainings, of `steps` steps each."""
    logged = [_last_step(folder / METRICS) for folder in folders]
    done = [(folder / DONE).exists() for folder in folders]
    running = sum(1 for step, end in zip(logged, done, strict=True) if step is not None and not end)
    total = steps * len(folders) if steps else None
    return State(len(folders), sum(done), running, sum(step or 0 for step in logged), total)


@contextmanager
def watch_trainings(
    folders: Sequence[Path], steps: int | None, file: TextIO | None = None
) -> Iterator[None]:
    """Show the trainings in `folders` from a thread while the block works; `file` is stderr if None.

    On a terminal one line that renews itself; elsewhere a plain line at first, at the end, and between
    them at most every 5 s and every 10 %. A stream that is lost ends the view, never the work.
    """
    over = threading.Event()
    view = _View(folders, steps, Terminal(file or sys.stderr))
    thread = threading.Thread(target=view.follow, args=(over,), name="sweep-view", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


class _View:
    def __init__(self, folders: Sequence[Path], steps: int | None, terminal: Terminal) -> None:
        self._folders, self._steps, self._terminal = folders, steps, terminal
        self._throttle = Throttle()
        self._shown: State | None = None
        self._first: tuple[int, float] | None = None

    def follow(self, over: threading.Event) -> None:
        """Show until `over` is set, then once more."""
        with suppress(OSError, ValueError):
            ended = False
            while not ended:
                ended = over.wait(POLL)
                self._show(state_of(self._folders, self._steps), ended)

    def _show(self, state: State, ended: bool) -> None:
        stream = self._terminal.console.file
        if self._terminal.tty:
            stream.write("\r\x1b[2K" + ("" if ended else self._line(state)))
            stream.flush()
        elif state != self._shown and (ended or self._throttle.due(state.share)):
            stream.write(self._line(state) + "\n")
            stream.flush()
            self._shown = state

    def _line(self, state: State) -> str:
        parts = [f"trainings {state.done:,}/{state.trainings:,} done, {state.running} running"]
        of = f"/{state.total:,}" if state.total else ""
        parts.append(f"step {state.steps:,}{of}")
        now = time.monotonic()
        # The first look at work that is under way says where it stood, not how fast it is.
        if self._first is None and state.steps:
            self._first = (state.steps, now)
        if self._first is not None and state.steps > self._first[0]:
            rate = (state.steps - self._first[0]) / (now - self._first[1])
            parts.append(f"{rate:.2g} steps a second")
            if state.total:
                parts.append(f"{words.duration((state.total - state.steps) / rate)} left")
        return ", ".join(parts)


def _last_step(path: Path) -> int | None:
    """The step of the last whole line; None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")[:-1]
        return int(json.loads(lines[-1])["step"]) if lines else None
    except (OSError, ValueError, KeyError):
        return None
