"""Runs beside each other in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.report import words
from rlpersona.report.data import Measured
from rlpersona.report.terminal import Terminal

SHOWN = 10
"""Personas validated by both runs that are listed; the others are counted."""

Record = dict[str, Any]


def print_comparison(result: Record, file: TextIO | None = None) -> None:
    """Print what `experiments.comparison.compare` found; `file` is stdout if None.

    One table with a row per run, then a few lines and a table of gains for each pair.
    """
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    console.print(_runs(result["runs"], terminal))
    console.print(
        f"Gain: of the policy's first choice over no persona, on fresh questions. "
        f"Intervals: {100 * result['level']:g} %.",
        style="dim",
    )
    for pair in result["pairs"]:
        console.print()
        console.print(Text(terminal.text(" and ".join(pair["runs"])), style="bold"))
        for line in pair_lines(pair):
            console.print(Text(f"  {terminal.text(line)}"), soft_wrap=not terminal.tty)
        if pair["gains"]:
            console.print(_gains(pair, terminal))


def pair_lines(pair: Record) -> Iterator[str]:
    """What two runs have in common, a plain line each."""
    yield from (f"Note: {note}." for note in pair["notes"])
    yield (
        f"Personas: {words.count(pair['personas'])} in common, "
        f"{words.count(pair['evaluated'])} evaluated in both."
    )
    if pair["overlap"]:
        yield _overlap(pair["overlap"])
    for measure, name in (("means", "Mean rewards"), ("shrunk", "Shrunk means")):
        if pair[measure]:
            yield f"{name}: {_correlation(pair[measure])}."
    if pair["distribution"]:
        yield _distribution(pair["distribution"])
    if pair["leaders"]:
        yield _leaders(pair["leaders"])
    if pair["same"]:
        yield (
            f"Same answers to the same questions: {', '.join(pair['same'][:SHOWN])}"
            + (f" and {len(pair['same']) - SHOWN} more." if len(pair["same"]) > SHOWN else ".")
        )


def _overlap(overlap: Record) -> str:
    text = (
        f"Top {overlap['top']}: {len(overlap['shared'])} shared, {overlap['expected']:.2g} expected by "
        f"chance (p {_p(overlap['p'])})"
    )
    return f"{text}: {', '.join(overlap['shared'])}." if overlap["shared"] else f"{text}."


def _correlation(found: Record) -> str:
    rho = found["spearman"]
    text = (
        f"Spearman {rho['estimate']:+.2f} [{rho['low']:+.2f}, {rho['high']:+.2f}], "
        f"Kendall {found['kendall']:+.2f}, n = {words.count(rho['n'])}"
    )
    if found["ceiling"] is None:
        return text
    text += f"; the noise of the two lets equal truths reach {found['ceiling']:.2f}"
    if found["disattenuated"] is None:
        return f"{text}: too noisy to judge by"
    return f"{text}, which makes it {found['disattenuated']:+.2f} without noise"


def _distribution(found: Record) -> str:
    one, other = found["from_uniform"]
    return (
        f"Policies: total variation {found['total_variation']:.3f} between them "
        f"({one:.3f} and {other:.3f} from uniform), Jensen-Shannon {found['jensen_shannon']:.3f} bits."
    )


def _leaders(found: Record) -> str:
    one, other = found["personas"]
    if found["same"]:
        return f"First choices: {one} {words.points(found['first'])} in both, with the same answers."
    return (
        f"First choices: {one} {words.points(found['first'])}, {other} {words.points(found['second'])}; "
        f"difference {words.gain_interval(Measured(**found['difference']))} "
        f"(p {_p(found['p'])}, {_design(found)})."
    )


def _runs(runs: list[Record], terminal: Terminal) -> Table:
    table = Table(box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY)
    for heading in ("run", "model", "benchmark", "algorithm"):
        table.add_column(heading, overflow="fold")
    for heading in ("personas", "evaluations"):
        table.add_column(heading, justify="right")
    table.add_column("first choice", overflow="fold")
    table.add_column("gain", justify="right")
    for run in runs:
        table.add_row(
            *(terminal.text(run[key]) for key in ("run", "model", "benchmark", "algorithm")),
            words.count(run["personas"]),
            words.count(run["evaluations"]),
            terminal.text(run["winner"] or "nobody"),
            words.gain_interval(Measured(**(run["gain"] or {}))),
        )
    return table


def _gains(pair: Record, terminal: Terminal) -> Table:
    table = Table(box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY)
    table.add_column("gain over no persona", overflow="fold", ratio=1)
    for heading in (*(terminal.text(name) for name in pair["runs"]), "difference", "p (Holm)", "design"):
        table.add_column(heading, justify="right", overflow="fold")
    for gain in pair["gains"][:SHOWN]:
        table.add_row(
            terminal.text(gain["persona"]),
            words.points(gain["first"]),
            words.points(gain["second"]),
            words.gain_interval(Measured(**gain["difference"])),
            words.p_value(gain["p_holm"]),
            _design(gain),
        )
    if len(pair["gains"]) > SHOWN:
        table.add_row(f"and {len(pair['gains']) - SHOWN} more", *[""] * 5)
    return table


def _design(found: Record) -> str:
    return "paired" if found["paired"] else "unpaired"


def _p(p: float) -> str:
    text = words.p_value(p)
    return text if text.startswith("<") else f"= {text}"
