"""The result of a measurement of drift as a table in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.report.drift_records import BASE, SHORT, TEXTS, label_of
from rlpersona.report.terminal import Terminal
from rlpersona.report.words import MISSING

Json = dict[str, Any]
MOST = 24  # checkpoints in the terminal's table; the page has all


def print_drift(summary: Json, file: TextIO | None = None, report: Path | None = None) -> None:
    """Print where each checkpoint lies, on the base's answers and on its own, and the verdict.

    `summary` is the content of a run's `summary.json`; `file` is stdout if None.
    """
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    console.print(_table(summary, terminal))
    console.print(
        f"Movement along the axis of the base after block {summary['layer']} of {summary['layers']}, in "
        f"SD of its {summary['roles']} roles ({summary['unit']:.3g} of the residual stream). Intervals: "
        f"{100 * summary['level']:g} % over {summary['questions']} questions, for the roles over roles, "
        "too. Random: movement along random directions among the roles, as many of them. Turned: cosine "
        "of the axis made anew with the base's (corrected for noise: 1 has not turned).",
        style="dim",
    )
    console.print()
    console.print(Text(terminal.text(summary["verdict"]), style="bold"))
    if report is not None:
        # Unfolded, so that the path can be copied or clicked.
        console.print(Text(f"Report: {terminal.text(str(report))}"), soft_wrap=True)


def moved(one: Json) -> str:
    """A movement with its interval."""
    return interval(one, "+.2f")


def interval(one: Json | None, form: str) -> str:
    """An estimate with its interval, in a format of numbers."""
    if one is None or one["estimate"] is None:
        return MISSING
    ends = "" if one["low"] is None else f" [{one['low']:{form}}, {one['high']:{form}}]"
    return f"{one['estimate']:{form}}{ends}"


def turned(one: Json, layer: int) -> str:
    """The cosine of a checkpoint's own axis with the base's, and the same corrected for noise."""
    told = one["by_layer"][layer]
    if told["cosine"] is None:
        return MISSING
    corrected = told["corrected"]
    return f"{told['cosine']:.3f}" + ("" if corrected is None else f" ({corrected:.2f})")


def _table(summary: Json, terminal: Terminal) -> Table:
    table = Table(
        title=Text(
            terminal.text(f"{summary['run']}: {summary['of']} along '{summary['axis']}'"), style="bold"
        ),
        title_justify="left",
        box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY,
    )
    table.add_column("training", overflow="fold")
    table.add_column("step", justify="right")
    table.add_column("answers", overflow="fold")
    for heading in ("default", "random", "roles", "turned", "CKA"):
        table.add_column(heading, justify="right", overflow="fold")
    points = [one for one in summary["checkpoints"] if one["condition"] != BASE]
    steps = {(one["run"], one["condition"]): one["step"] for one in points}
    if len(points) > MOST:  # the last step of each training
        points = [one for one in points if one["step"] == steps[one["run"], one["condition"]]]
    for one in points[:MOST]:
        band = one["control"]["personas"]
        layer = summary["layer"]
        cka = one["by_layer"][layer]["cka"]
        row = [
            label_of(summary, (one["run"], one["condition"])),
            str(one["step"]),
            SHORT[one["text"]],
            moved(one["default"]["frozen"]),
            f"[{band['low']:+.2f}, {band['high']:+.2f}]",
            moved(one["roles"]["frozen"]),
            turned(one, layer),
            MISSING if cka is None else f"{cka:.3f}",
        ]
        table.add_row(*map(terminal.text, row), end_section=one["text"] == TEXTS[-1])
    return table
