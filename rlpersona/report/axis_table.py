"""The result of an axis run as a table in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.report import words
from rlpersona.report.terminal import Terminal

Json = dict[str, Any]
SHOWN = 8  # roles at either end


def print_axis(summary: Json, file: TextIO | None = None, report: Path | None = None) -> None:
    """Print the roles at both ends of the axis, the layers, and the verdict.

    `summary` is the content of an axis run's `summary.json`; `file` is stdout if None.
    """
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    console.print(_roles(summary, terminal))
    console.print(_layers(summary, terminal))
    dims = ", ".join(f"{100 * float(s):g} %: {n}" for s, n in summary["pca"]["dims"].items())
    console.print(
        f"Places in SDs of the roles from their mean, intervals {100 * summary['level']:g} % over "
        f"questions; above: over roles and questions. Dimensions for {dims} of the variance. Rated by "
        f"{summary['judge']}; not rated: {summary['unrated']}.",
        style="dim",
    )
    for one in summary["without"]:
        line = f"no vector: {one['name']}, {one['kept']} of {one['responses']} responses count"
        console.print(Text(terminal.text(line), style="yellow"))
    console.print(Text(terminal.text(summary["verdict"]), style="bold"), soft_wrap=True)
    if report is not None:
        console.print(Text(f"Report: {report}"), soft_wrap=True)


def place(found: Json) -> str:
    """`+1.19 [+1.05, +1.33]`."""
    if found["low"] is None:
        return f"{found['estimate']:+.2f}"
    return f"{found['estimate']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def _roles(summary: Json, terminal: Terminal) -> Table:
    roles = sorted(summary["roles"], key=lambda one: -one["projection"]["estimate"])
    shown: list[Json | None] = [*roles]
    if len(roles) > 2 * SHOWN:
        shown = [*roles[:SHOWN], None, *roles[-SHOWN:]]
    table = Table(
        box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY,
        title=f"{summary['run']}: layer {summary['layer']} of {len(summary['layers'])}",
        title_justify="left",
    )
    table.add_column("role", overflow="fold")
    for heading in ("place on the axis", "count", "of"):
        table.add_column(heading, justify="right", overflow="fold")
    for one in (summary["default"], *shown):
        if one is None:
            table.add_row(f"... {len(roles) - 2 * SHOWN} more", "", "", "")
            continue
        cells = (one["name"], place(one["projection"]), words.count(one["kept"]))
        style = "bold" if one is summary["default"] else ""
        table.add_row(*map(terminal.text, cells), words.count(one["responses"]), style=style)
    return table


def _layers(summary: Json, terminal: Terminal) -> Table:
    table = Table(box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY)
    for heading in ("layer", "assistant above", "distance", "nearest component"):
        table.add_column(heading, justify="right", overflow="fold")
    every = max(1, len(summary["layers"]) // 12)
    for number, one in enumerate(summary["layers"]):
        if number % every and number != summary["layer"]:
            continue
        held = one["separation"]
        said = words.MISSING if held["estimate"] is None else share(held)
        near = f"PC{one['nearest']}, cosine {one['nearest_cosine']:.2f}"
        style = "bold" if number == summary["layer"] else ""
        table.add_row(str(number), said, f"{one['distance']:.2f}", near, style=style)
    return table


def share(found: Json) -> str:
    """`85.7 % [81.0, 90.5]`."""
    ends = f"[{100 * found['low']:.1f}, {100 * found['high']:.1f}]"
    return f"{words.percent(found['estimate'])} {ends}"
