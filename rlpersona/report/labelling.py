"""What labelling shows: the count while it works, the examination at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.preferences.checks import Examination, Marks
from rlpersona.report import words
from rlpersona.report.progress import Throttle
from rlpersona.report.terminal import Terminal
from rlpersona.stats import Interval

DASH = "-"
POLL = 0.2  # seconds between two drawings of the count


@contextmanager
def counter(what: str, file: TextIO | None = None) -> Iterator[Callable[[int, int], None]]:
    """The block gets `done(n, total)` to call as work ends; `file` is stderr if None.

    On a terminal one line that renews itself, with rate and time left; elsewhere rare plain lines.
    """
    terminal, throttle = Terminal(file or sys.stderr), Throttle()
    stream = terminal.console.file
    first: tuple[int, float] | None = None
    drawn = 0.0

    def done(n: int, total: int) -> None:
        nonlocal first, drawn
        at = time.monotonic()
        first = first or (n, at)
        pace = (n - first[0]) / (at - first[1]) if n > first[0] and at > first[1] else None
        line = f"{what} {n:,}/{total:,}"
        if pace:
            line += f", {pace:,.0f} a second, {words.duration((total - n) / pace)} left"
        # A lost terminal must not end the work.
        with suppress(OSError, ValueError):
            if terminal.tty and (at - drawn >= POLL or n == total):
                stream.write(f"\r\x1b[2K{line}")
                stream.flush()
                drawn = at
            elif not terminal.tty and (throttle.due(n / max(total, 1)) or n == total):
                stream.write(f"{line}\n")
                stream.flush()

    try:
        yield done
    finally:
        if terminal.tty and drawn:
            with suppress(OSError, ValueError):
                stream.write("\r\x1b[2K")
                stream.flush()


def print_examination(report: Examination, name: str, file: TextIO | None = None) -> None:
    """Print flaws of the pairs, a row for each annotator and the agreement, each with its interval."""
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    console.print(Text(terminal.text(f"{name}: {report.pairs:,} pairs of {report.prompts:,} prompts")))
    flawed = [f"{words.count(n)} {what}" for what, n in report.flaws.items() if n]
    style = "bold red" if flawed else "green"
    console.print(Text(f"Flaws: {', '.join(flawed) or 'none'}", style=style))
    if report.marks:
        console.print(_table(report.marks, terminal))
    if report.agreement is not None:
        for (first, second), value in report.agreement.kappa.items():
            line = f"Cohen's kappa, {first} and {second}: {_coefficient(value)}"
            console.print(Text(terminal.text(line)), soft_wrap=True)
        console.print(Text(f"Krippendorff's alpha, all: {_coefficient(report.agreement.alpha)}"))
    for annotator, canaries in report.canaries.items():
        if canaries.found:
            line = f"Answers that instruct the judge: {canaries.found:,} of {canaries.answers:,}"
            line += f"; they won {_share(canaries.won)} with {annotator}" if canaries.won else ""
            console.print(Text(terminal.text(line), style="yellow"), soft_wrap=True)
    console.print(
        "Intervals: 95 %, n in prompts. Without bias, longer and first are chosen half of the time.",
        style="dim",
    )


def _table(marks: tuple[Marks, ...], terminal: Terminal) -> Table:
    table = Table(box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY)
    table.add_column("annotator", overflow="fold")
    for heading in ("labelled", "skipped", "failed", "ties", "longer", "first", "both orders"):
        table.add_column(heading, justify="right", overflow="fold")
    for row in marks:
        counts = (words.count(n) for n in (row.labelled, row.skipped, row.failed))
        shares = (_share(value) for value in (row.ties, row.longer, row.first, row.consistent))
        table.add_row(Text(terminal.text(row.annotator), style="bold"), *counts, *shares)
    return table


def _share(value: Interval | None) -> str:
    if value is None:
        return DASH
    return f"{words.percent(value.estimate)} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def _coefficient(value: Interval | None) -> str:
    if value is None:
        return "not defined (no common pairs, or one and the same choice throughout)"
    return f"{value.estimate:.2f} [{value.low:.2f}, {value.high:.2f}], {words.count(value.n)} prompts"
