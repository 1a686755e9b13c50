"""The result of a run as a table in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.report import words
from rlpersona.report.data import parse_summary
from rlpersona.report.records import Reference, Summary, Winner
from rlpersona.report.terminal import Terminal

SHOWN = 3
"""Groups of personas that are listed; the others are counted."""


def print_summary(
    summary: dict[str, Any], file: TextIO | None = None, report: Path | None = None
) -> None:
    """Print winners and what they are held against with intervals, transfer to other benchmarks,
    equivalence, where the policy went, the verdict and the report's path.

    `summary` is the content of `summary.json`; RunError if it is broken. `file` is stdout if None.
    Names are folded, never cut. Without a terminal the table is plain text; where the locale is not
    UTF-8 it is ASCII.
    """
    result = parse_summary(summary)
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    console.print(_table(result, terminal))
    console.print(
        f"Intervals: {_level(result)}, n in questions. *: a single test, not corrected. "
        f"Fresh answers not scored: {words.percent(result.unscored_share)}.",
        style="dim",
    )
    for line in _remarks(result):
        console.print(Text(terminal.text(line), style="dim"))
    console.print()
    style = {True: "bold green", False: "bold", None: "bold yellow"}[result.significant]
    console.print(Text(terminal.text(result.verdict), style=style))
    if report is not None:
        # Unfolded, so that the path can be copied or clicked.
        console.print(Text(f"Report: {terminal.text(str(report))}"), soft_wrap=True)


def _table(result: Summary, terminal: Terminal) -> Table:
    title = f"{result.run}: {result.benchmark}, {result.model}, {result.algorithm}"
    table = Table(
        title=Text(terminal.text(title), style="bold"),
        title_justify="left",
        box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY,
    )
    over = _held_against(result)
    tested = [] if over is None else [f"gain over {over}", "p (Holm)"]
    table.add_column("persona", overflow="fold", ratio=1)
    for heading in (f"fresh {result.fresh}", *tested, result.training, "n"):
        table.add_column(heading, justify="right", overflow="fold")
    for winner in result.winners:
        name = Text(terminal.text(winner.persona), style="bold")
        if winner.group or winner.field:
            kind = ", ".join(part for part in (winner.group, winner.field) if part)
            name.append(f" ({terminal.text(kind)})", style="not bold dim")
        table.add_row(
            name,
            words.share_interval(winner.accuracy),
            *_winner_gain(winner, over),
            words.percent(winner.training_reward),
            words.count(winner.accuracy.n),
        )
    table.add_section()
    for one in result.references:
        table.add_row(
            one.label,
            words.share_interval(one.accuracy),
            *_reference_gain(one, over),
            "",
            words.count(one.accuracy.n or one.gain.n),
        )
    return table


def _held_against(result: Summary) -> str | None:
    """What the winners' gains are over; None where nothing was measured that they could be over."""
    if not result.uncontrolled:
        return "no persona"
    named = any(winner.over_nonsense.estimate is not None for winner in result.winners)
    return "nonsense names" if named else None


def _winner_gain(winner: Winner, over: str | None) -> list[str]:
    """A winner's cells under the heading of gains and their tests."""
    if over is None:
        return []
    if over == "no persona":
        return [words.gain_interval(winner.gain), words.p_value(winner.p_holm)]
    return [words.gain_interval(winner.over_nonsense), words.p_value(winner.over_nonsense.p_holm)]


def _reference_gain(one: Reference, over: str | None) -> list[str]:
    """The same cells of what winners are held against; its own gain is known over no persona alone."""
    if over != "no persona":
        return [] if over is None else ["", ""]
    return [
        "" if one.label == "no persona" else words.gain_interval(one.gain),
        "" if one.gain.p is None else f"{words.p_value(one.gain.p)}*",
    ]


def _remarks(result: Summary) -> list[str]:
    """What the table has no column for, a line each."""
    lines = [line] if (line := words.at_chance(result)) else []
    best = result.best
    if best is not None and best.over_nonsense.estimate is not None:
        over = best.over_nonsense
        p = "" if over.p_holm is None else f", p (Holm) {words.p_value(over.p_holm)}"
        lines.append(f"{best.persona} over nonsense names: {words.gain_interval(over)}{p}.")
    for other in result.transfer:
        measured = [(one.gain.estimate, one) for one in other.winners if one.gain.estimate is not None]
        if measured:
            most, top = max(measured, key=lambda pair: pair[0])
            where = f"On {other.benchmark}, {words.count(other.questions)} questions,"
            lines.append(
                f"{where} the most is gained by {top.persona}: {words.gain_interval(top.gain)}, "
                f"p (Holm) {words.p_value(top.p_holm)}."
                if most > 0
                else f"{where} nobody gains on no persona."
            )
    if equivalence := words.equivalence(result):
        lines.append(equivalence)
    return [*lines, *_convergence(result)]


def _convergence(result: Summary) -> list[str]:
    """Where the policy went, and how early: two lines, or none where personas have no groups."""
    shares = [one for one in result.convergence if one.final is not None]
    if not shares:
        return []
    told = [
        f"{one.group} {words.percent(one.final)} (of the pool {words.percent(one.pool)})"
        for one in shares[:SHOWN]
    ]
    more = f", {len(shares) - SHOWN} more" if len(shares) > SHOWN else ""
    first = shares[0]
    if first.half is None:
        when = "No group holds half of it."
    else:
        most = "never to the end" if first.most is None else f"from round {first.most} on"
        when = f"{first.group} holds half of it from round {first.half} on, 90 % {most}."
    return [f"The policy's probability: {', '.join(told)}{more}.", when]


def _level(result: Summary) -> str:
    levels = {winner.gain.level for winner in result.winners} - {None}
    return (
        " and ".join(f"{100 * level:g} %" for level in sorted(level for level in levels if level))
        or "95 %"
    )
