"""The result of an era x content experiment in lines of text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from rlpersona.report import words

Record = dict[str, Any]
EFFECTS = {
    "interaction": "era x content",
    "era": "era, over both kinds",
    "era_modern": "era, modern questions",
    "era_timeless": "era, timeless questions",
    "content": "content, over both eras",
}
OUTCOMES = {
    "accuracy": "right answers",
    "answer_rate": "answers given",
    "conditional": "right among those given",
}


def print_temporal(summary: Record, file: TextIO | None = None, report: Path | None = None) -> None:
    """Print the result of an era experiment, which has no page."""
    print("\n".join(temporal_lines(summary)), file=file or sys.stdout)


def temporal_lines(summary: Record) -> list[str]:
    """The verdict first, then the table of cells, the effects, the controls and the raters."""
    people, asked = summary["personas"], summary["questions"]
    where = f"{summary['model']} on {summary['benchmark']}"
    lines = [
        words.clean(summary["verdict"]),
        "",
        f"{words.clean(where)}: {people['modern']} people of modern and {people['earlier']} of earlier "
        f"eras, {asked['modern']} modern and {asked['timeless']} timeless questions, "
        f"{summary['evaluations']:,} answers",
        "",
        *cell_lines(summary["cells"], "answer_rate" in summary["effects"]),
    ]
    for outcome, effects in summary["effects"].items():
        lines += ["", f"Differences in {OUTCOMES[outcome]} (modern - earlier, modern - timeless):"]
        lines += table([[EFFECTS[name], *effect_words(found)] for name, found in effects.items()])
    return [line.rstrip() for line in [*lines, "", *control_lines(summary), *rater_lines(summary)]]


def cell_lines(cells: Sequence[Record], abstained: bool) -> list[str]:
    """One line for each era and kind of question."""
    shown = list(OUTCOMES) if abstained else ["accuracy"]
    rows = [["people", "questions", *(OUTCOMES[name] for name in shown)]]
    rows += [[cell["era"], cell["kind"], *(share(cell[name]) for name in shown)] for cell in cells]
    return table(rows)


def control_lines(summary: Record) -> list[str]:
    """What is left at equal fame, and within matched pairs."""
    fame, pairs = summary["fame"], summary["pairs"]
    if fame is None:
        return ["Fame is not known of everyone: nothing is said of what it explains."]
    rows = [["at equal fame", *effect_words(fame["interaction"])]]
    if pairs:
        rows.append([f"within {pairs['pairs']} matched pairs", *effect_words(pairs["interaction"])])
    return ["Era x content where fame is held constant:", *table(rows)]


def rater_lines(summary: Record) -> list[str]:
    """How far the raters agree; what they dispute was left out."""
    if not summary["agreement"]:
        return ["", f"Labels by one rater: {words.clean(summary['raters'][0])}."]
    lines = [""]
    for found in summary["agreement"]:
        kappa, alike = found["kappa"], found["share"]
        said = "no kappa" if kappa is None else f"kappa {kappa['estimate']:.2f} " + ends(kappa, 1, 2)
        same = "" if alike is None else f", alike on {words.percent(alike['estimate'])} of {alike['n']}"
        lines.append(f"Raters ({' / '.join(map(words.clean, found['raters']))}): {said}{same}.")
    return [*lines, f"Questions left out as disputed: {summary['questions_disputed']}."]


def share(found: Record | None) -> str:
    """`81.2 % [77.0, 84.9]`."""
    return "-" if found is None else f"{100 * found['estimate']:.1f} % {ends(found)}"


def effect_words(found: Record | None) -> list[str]:
    """Points, interval and p-value as cells of a row."""
    if found is None:
        return ["-", "", ""]
    return [f"{100 * found['estimate']:+.1f} points", ends(found, sign="+"), f"p {p_words(found['p'])}"]


def ends(found: Record, scale: float = 100, digits: int = 1, sign: str = "") -> str:
    """`[77.0, 84.9]`."""
    low, high = scale * found["low"], scale * found["high"]
    return f"[{low:{sign}.{digits}f}, {high:{sign}.{digits}f}]"


def p_words(p_value: float) -> str:
    """`= .012`, `< .001`."""
    return "< .001" if p_value < 0.001 else f"= {p_value:.3f}".replace("0.", ".", 1)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of even width, indented by two blanks."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
