"""A ranking of models as tables in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.table import Table
from rich.text import Text

from rlpersona.report import words
from rlpersona.report.ranking_records import BASE, ModelRecord, PairRecord, Ranking, parse_ranking
from rlpersona.report.records import Measured
from rlpersona.report.terminal import Terminal

NONE = "-"


def print_ranking(
    summary: dict[str, Any], file: TextIO | None = None, report: Path | None = None
) -> None:
    """Print each model's numbers, every pair, what was missing, the verdict and the report's path.

    `summary` is the content of `summary.json`; RunError if it is broken. `file` is stdout if None.
    """
    result = parse_ranking(summary)
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    title = f"{result.run}: {result.model}, {result.prompts} prompts x {result.samples}, {result.judge}"
    console.print(_models(result, terminal, title))
    others = [pair for pair in result.pairs if pair.second != BASE]
    if others:
        console.print(_pairs(others, terminal))
    console.print(
        f"Intervals: {100 * result.level:g} %, n in prompts. p: sign-flip permutation, Holm over all "
        f"{len(result.pairs)} pairs. Rank: 1 is the best of {len(result.models)}.",
        style="dim",
    )
    for line in remarks(result):
        console.print(Text(terminal.text(line), style="dim"))
    console.print()
    console.print(Text(terminal.text(result.verdict), style="bold"))
    if report is not None:
        console.print(Text(f"Report: {terminal.text(str(report))}"), soft_wrap=True)


def print_combined(together: dict[str, Any], file: TextIO | None = None) -> None:
    """Print what several runs of one experiment show together, with each run's own win rate."""
    terminal = Terminal(file or sys.stdout)
    console = terminal.console
    table = _table(terminal, f"{len(together['runs'])} runs: {', '.join(together['runs'])}")
    for heading in ("pair", "won, mean over runs", "p (Holm)", "each run"):
        table.add_column(heading, justify="left" if heading == "pair" else "right", overflow="fold")
    for pair in together["pairs"]:
        rates = ", ".join(f"{100 * rate:.1f}" for rate in pair["rates"])
        won = Measured(**pair["win"])
        name = Text(terminal.text(f"{pair['first']} over {pair['second']}"))
        table.add_row(name, words.share_interval(won), words.p_value(won.p_holm), rates)
    console.print(table)
    console.print(f"Intervals: {100 * together['level']:g} %, n in runs.", style="dim")
    if together["missing"]:
        console.print(f"Not in every run: {', '.join(together['missing'])}.", style="dim")
    console.print()
    console.print(Text(terminal.text(together["verdict"]), style="bold"))


def remarks(result: Ranking) -> list[str]:
    """What the tables have no column for, a line each."""
    lines = []
    if result.missing:
        lines.append(f"Not trained, so not evaluated: {', '.join(result.missing)}.")
    if result.unscored:
        lines.append(
            f"{words.count(result.unscored)} of {words.count(result.comparisons)} comparisons have no "
            f"verdict and count for nobody: {next(iter(result.errors), 'no reason given')}."
        )
    for name, reason in result.strengths.left_out.items():
        lines.append(f"{name} has no Bradley-Terry strength: {reason}.")
    if result.place is not None:
        place = result.place
        lines.append(
            f"Both orders gave the same winner in {place.consistent} of {place.pairs} comparisons; "
            f"where they differ the first place won on {place.first} prompts, the second on "
            f"{place.second} (p {words.p_value(place.p_value)})."
        )
    for one in result.people:
        kappa = "not defined" if one.kappa is None else coefficient(one.kappa)
        lines.append(f"Judge and people on {one.pairs} pairs of '{one.run}': Cohen's kappa {kappa}.")
    if result.canaries.found:
        lines.append(f"Answers that instruct the judge: {result.canaries.found}.")
    if result.likeness.note:
        lines.append(f"Likeness was not measured. {result.likeness.note}")
    return lines


def coefficient(value: Measured) -> str:
    """`0.61 [0.42, 0.78]`, for what is no share."""
    if value.estimate is None:
        return words.MISSING
    ends = (NONE if end is None else f"{end:.2f}" for end in (value.low, value.high))
    return f"{value.estimate:.2f} [{', '.join(ends)}]"


def _models(result: Ranking, terminal: Terminal, title: str) -> Table:
    table = _table(terminal, title)
    alike = any(record.likeness is not None for record in result.models)
    headings = ["won against base", "p (Holm)", "at equal length", "rank", "ends", "tokens"]
    table.add_column("model", overflow="fold")
    for heading in [*headings, *(["likeness"] if alike else [])]:
        table.add_column(heading, justify="right", overflow="fold")
    for record in result.models:
        cells = [*_against(result.over_base(record.name)), *_alone(record)]
        cells += [_number(record.likeness, 3)] if alike else []
        table.add_row(Text(terminal.text(record.name), style="bold"), *cells)
    return table


def _against(pair: PairRecord | None) -> list[str]:
    if pair is None:
        return ["", "", ""]
    if pair.win is None:
        return [words.MISSING, "", ""]
    even = pair.controlled.rate if pair.controlled else None
    return [
        words.share_interval(pair.win),
        words.p_value(pair.win.p_holm),
        NONE if even is None else words.share_interval(even),
    ]


def _alone(record: ModelRecord) -> list[str]:
    return [
        _number(record.rank, 2),
        words.percent(record.stop.estimate) if record.stop else NONE,
        _number(record.tokens, 1),
    ]


def _pairs(pairs: list[PairRecord], terminal: Terminal) -> Table:
    table = _table(terminal, "")
    table.add_column("pair", overflow="fold")
    for heading in ("won by the first", "p (Holm)", "would have been found"):
        table.add_column(heading, justify="right", overflow="fold")
    for pair in pairs:
        name = Text(terminal.text(f"{pair.first} over {pair.second}"))
        found = NONE if pair.detectable is None else words.percent(pair.detectable)
        table.add_row(name, *_against(pair)[:2], found)
    return table


def _table(terminal: Terminal, title: str) -> Table:
    return Table(
        title=Text(terminal.text(title), style="bold") if title else None,
        title_justify="left",
        box=box.ASCII if terminal.ascii else box.SIMPLE_HEAVY,
    )


def _number(value: Measured | None, digits: int) -> str:
    return NONE if value is None or value.estimate is None else f"{value.estimate:.{digits}f}"
