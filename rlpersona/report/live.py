"""The view of work in progress: what is done, how fast, how long still, and who leads."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TextIO

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rlpersona.report import words
from rlpersona.report.progress import Progress, Throttle
from rlpersona.report.records import Measured, Round
from rlpersona.report.tail import RoundTail
from rlpersona.report.terminal import Terminal
from rlpersona.store import METRICS

POLL = 0.2  # seconds between looks at the file
NAME_CELLS = 40
LEAST_CELLS = 16  # of a name, in a narrow terminal


@contextmanager
def watch(folder: Path, file: TextIO | None = None) -> Iterator[None]:
    """Show the run in `folder` from a thread while the block works; `file` is stderr if None.

    On leaving, what the run still wrote is shown and the terminal given back. The work is never
    disturbed: a view that cannot be shown ends without an error.
    """
    done = threading.Event()
    thread = threading.Thread(target=follow, args=(folder, done, file), name="live-view", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(timeout=5)


def follow(folder: Path, done: threading.Event, file: TextIO | None = None) -> None:
    """Show the run in `folder` until `done` is set, then once more. Blocks; `file` is stderr if None.

    On a terminal: a view that renews itself. Elsewhere: a line at the first round and at the last,
    between them at most every 5 s and every 10 %.
    """
    terminal = Terminal(sys.stderr if file is None else file)
    tail, progress = RoundTail(folder / METRICS), Progress()
    try:
        if terminal.tty:
            _follow_on_terminal(tail, progress, done, terminal)
        else:
            _follow_in_lines(tail, progress, done, terminal)
    except (OSError, ValueError):
        # The stream was closed: nobody watches any more.
        return


@contextmanager
def progress_bar(label: str, file: TextIO | None = None) -> Iterator[Callable[[int, int, float], None]]:
    """A bar for a training loop: the block gets `advance(step, steps, loss)` to call after each step.

    `file` is stderr if None. Without a terminal: plain lines, as rare as those of `follow`.
    """
    terminal = Terminal(sys.stderr if file is None else file)
    throttle = Throttle()
    live = Live(console=terminal.console, auto_refresh=False) if terminal.tty else None
    drawn = time.monotonic() - POLL
    first: tuple[int, float] | None = None

    def advance(step: int, steps: int, loss: float) -> None:
        nonlocal drawn, first
        now = time.monotonic()
        share = step / steps if steps else 1.0
        head, rest = f"{label} {step:,}/{steps:,}", [f"loss {loss:.3f}"]
        # The first step pays for all that precedes it, so the pace is that of the steps after it.
        first = first or (step, now)
        if step > first[0]:
            left = (now - first[1]) * (steps - step) / (step - first[0])
            rest.append(f"{words.duration(left)} left")
        # A lost terminal must not end the training.
        with suppress(OSError, ValueError):
            if live is not None and (now - drawn >= POLL or step == steps):
                live.update(_bar(head, share, rest), refresh=True)
                drawn = now
            elif live is None and (throttle.due(share) or step == steps):
                line = ", ".join([f"{head} ({100 * share:.0f} %)", *rest])
                terminal.console.print(line, soft_wrap=True)

    with live or nullcontext():
        yield advance


def _follow_on_terminal(
    tail: RoundTail, progress: Progress, done: threading.Event, terminal: Terminal
) -> None:
    with Live(_view(progress, terminal), console=terminal.console, auto_refresh=False) as live:
        finished = False
        while not finished:
            finished = done.wait(POLL)
            progress.add(tail.read())
            live.update(_view(progress, terminal), refresh=True)


def _follow_in_lines(
    tail: RoundTail, progress: Progress, done: threading.Event, terminal: Terminal
) -> None:
    shown: Round | None = None
    throttle = Throttle()
    finished = False
    while not finished:
        finished = done.wait(POLL)
        progress.add(tail.read())
        last = progress.last
        if last is not None and last is not shown and (throttle.due(progress.share) or finished):
            terminal.console.print(_line(last, progress, terminal), soft_wrap=True)
            shown = last


def _view(progress: Progress, terminal: Terminal) -> Group | Text:
    last = progress.last
    if last is None:
        return Text("Waiting for the first round ...", style="dim")
    bar = _bar(f"round {last.round:,}/{last.rounds:,}", progress.share, _pace(progress))
    state = ", ".join([*_budget(last), *_state(last, terminal)])
    line = Text(state, style="dim", no_wrap=True, overflow="crop")
    return Group(bar, line, _leaders(last, terminal)) if last.leaders else Group(bar, line)


def _leaders(last: Round, terminal: Terminal) -> Table:
    """The policy's best personas, with as many columns as fit: half a number would be a wrong one."""
    shown = last.leaders
    means = [Measured(estimate=one.mean, low=one.low, high=one.high) for one in shown]
    columns = {
        "reward": [words.share_interval(mean) for mean in means],
        "probability": [words.percent(one.probability) for one in shown],
        "evaluations": [words.count(one.evaluations) for one in shown],
    }
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("best in training", no_wrap=True, overflow="crop")
    room = terminal.console.width - LEAST_CELLS
    cells: list[list[str]] = []
    for heading, texts in columns.items():
        needed = 2 + max(len(text) for text in (heading, *texts))
        if needed > room:
            break
        room -= needed
        table.add_column(heading, justify="right", no_wrap=True)
        cells.append(texts)
    width = min(NAME_CELLS, LEAST_CELLS + room)
    for number, one in enumerate(shown):
        name = words.shorten(terminal.text(one.persona), width)
        table.add_row(name, *(texts[number] for texts in cells))
    return table


def _budget(last: Round) -> list[str]:
    """What of the evaluations is spent, and what is left."""
    if last.budget is None:
        return []
    left = max(0, last.budget - last.spent)
    return [f"spent {last.spent:,} of {last.budget:,} evaluations, {left:,} left"]


def _bar(head: str, share: float, rest: list[str]) -> Table:
    row = Table.grid(padding=(0, 2))
    row.add_row(head, ProgressBar(total=1.0, completed=share, width=32), *rest)
    return row


def _line(last: Round, progress: Progress, terminal: Terminal) -> str:
    head = f"round {last.round:,}/{last.rounds:,} ({100 * progress.share:.0f} %)"
    return ", ".join([head, *_pace(progress), *_state(last, terminal)])


def _pace(progress: Progress) -> list[str]:
    rate = "" if progress.rate is None else f"{progress.rate:,.0f} evaluations/s"
    left = "" if progress.left is None else f"{words.duration(progress.left)} left"
    return [part for part in (rate, left) if part]


def _state(last: Round, terminal: Terminal) -> list[str]:
    """Reward, leader, entropy, and what could not be scored."""
    parts = [f"reward {words.percent(last.reward)}"]
    if last.top is not None:
        probability = "" if last.top_probability is None else f" {words.percent(last.top_probability)}"
        parts.append(f"top {words.shorten(terminal.text(last.top), NAME_CELLS)}{probability}")
    if last.entropy is not None:
        parts.append(f"entropy {last.entropy:.2f} nats")
    if last.unscored:
        parts.append(f"{words.count(last.unscored)} unscored")
    return parts
