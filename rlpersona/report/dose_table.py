"""The result of a sweep, or of one training, as a table in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.report import words
from rlpersona.report.dose_words import bracket, named, value
from rlpersona.report.terminal import Terminal

Json = dict[str, Any]


def print_sweep(summary: Json, file: TextIO | None = None, report: Path | None = None) -> None:
    """Print each arm's own metric and right answers by dose, with slopes, tests, drift and the verdict.

    `summary` is the content of a sweep's `summary.json`; `file` is stdout if None.
    """
    terminal = Terminal(file or sys.stdout)
    console, design = terminal.console, summary["design"]
    for arm in summary["arms"]:
        console.print(_arm_table(arm, summary, terminal))
    for one in summary["controls"]:
        gap = value(one["difference"]["estimate"], one["metric"], signed=True)
        ends = bracket(one["difference"], one["metric"])
        line = f"{one['label']} beside {one['against']}: slope differs by {gap} {ends}"
        console.print(Text(terminal.text(line), style="dim"))
    level = f"{100 * summary['level']:g} %"
    console.print(
        f"Slopes per unit of bias_weight, intervals {level} over seeds; p: doses permuted within seeds, "
        "Holm for claims named before (bold), else Benjamini and Hochberg. "
        f"{design['done']} of {design['conditions']} trainings, {design['questions']} questions x "
        f"{design['samples']} samples, step {design['step']}; not scored: {design['unscored']}.",
        style="dim",
    )
    for one in design["failed"]:
        console.print(Text(terminal.text(f"failed: {one['id']}: {one['error']}"), style="red"))
    _close(summary, terminal, report)


def print_training(summary: Json, file: TextIO | None = None, report: Path | None = None) -> None:
    """Print what one training changed: right answers, length and stopping by domain, the verdict."""
    terminal = Terminal(file or sys.stdout)
    table = _new_table(
        f"{summary.get('run', 'training')}: base and step {summary['design']['step']}", terminal
    )
    for heading in ("metric", "domain"):
        table.add_column(heading, overflow="fold")
    for heading in ("base", "trained", "change", "p", "n"):
        table.add_column(heading, justify="right", overflow="fold")
    for one in summary["changes"]:
        if one["metric"] not in ("correct", "tokens", "stopped"):
            continue
        metric = one["metric"]
        change = f"{value(one['estimate'], metric, signed=True)} {bracket(one, metric)}"
        row = [named(metric), one["domain"], value(one["base"], metric), value(one["last"], metric)]
        row += [change, words.p_value(one.get("p_holm", one.get("p_bh"))), str(one["n"])]
        table.add_row(*map(terminal.text, row), style="bold" if one["primary"] else "")
    terminal.console.print(table)
    terminal.console.print(
        f"Intervals {100 * summary['level']:g} %, n in questions; p: sign flips, Holm for claims named "
        "before (bold), else Benjamini and Hochberg.",
        style="dim",
    )
    _close(summary, terminal, report)


def slope_text(one: Json) -> str:
    """A slope with its interval over seeds."""
    metric, slope = one["metric"], one["slope"]
    return f"{value(slope['estimate'], metric, signed=True)} {bracket(slope, metric)}".strip()


def tail_p(one: Json) -> str:
    """The corrected p-value, with what corrected it."""
    if "p_holm" in one:
        return f"{words.p_value(one['p_holm'])} (Holm)"
    return f"{words.p_value(one['p_bh'])} (BH)"


def shape_of(one: Json) -> str:
    """What the curve looks like, in words; empty where no shape was fitted."""
    lines = []
    test = one.get("contrasts") or {}
    if "best" in test:
        lines.append(f"nearest shape: {test['best']}, p {words.p_value(test['p'])}")
    curve = one.get("emax") or {}
    if curve and not curve.get("problem"):
        ends = f"[{curve['low']:.2g}, {curve['high']:.2g}]"
        lines.append(f"half of the effect at bias_weight {curve['ed50']:.2g} {ends}")
    return "; ".join(lines)


def _arm_table(arm: Json, summary: Json, terminal: Terminal) -> Table:
    """A row a domain of the bias's own metric, then right answers."""
    measure = "no measure of it" if arm["own"] is None else named(arm["own"])
    table = _new_table(f"{summary.get('run', 'sweep')}: {arm['label']} ({measure})", terminal)
    table.add_column("domain", overflow="fold")
    table.add_column("base", justify="right")
    for dose in arm["doses"]:
        table.add_column(f"{dose:g}", justify="right")
    for heading in ("slope", "p", "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in arm["responses"]:
        metric, domain = one["metric"], one["domain"]
        if metric != arm["own"] and (metric, domain) != ("correct", "objective"):
            continue
        cells = {point["dose"]: value(point["estimate"], metric) for point in one["means"]}
        row = [domain if metric == arm["own"] else named(metric), value(one["base"], metric)]
        row += [cells.get(dose, "") for dose in arm["doses"]]
        row += [slope_text(one), words.p_value(one.get("p_holm", one.get("p_bh"))), str(one["runs"])]
        table.add_row(*map(terminal.text, row), style="bold" if one["primary"] else "")
    return table


def _new_table(title: str, terminal: Terminal) -> Table:
    return Table(
        title=Text(terminal.text(title), style="bold"),
        title_justify="left",
        box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY,
    )


def _close(summary: Json, terminal: Terminal, report: Path | None) -> None:
    terminal.console.print()
    terminal.console.print(Text(terminal.text(summary["verdict"]), style="bold"))
    if report is not None:
        # Unfolded, so that the path can be copied or clicked.
        terminal.console.print(Text(f"Report: {terminal.text(str(report))}"), soft_wrap=True)
