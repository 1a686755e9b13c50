"""The bars that a nano model has to clear, each measured on the weights themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlpersona.models.nano import measure
from rlpersona.models.nano.building import PER_CELL, BuildReport, read_report
from rlpersona.models.nano.measure import CLOSED, ROWS, UNKNOWN, Table, mean
from rlpersona.models.nano.world.personas import DEFAULT, GROUPS, NAMES

TOPICS = ("math", "fact")


@dataclass(frozen=True)
class Bar:
    """One requirement: what was measured, what it must be, whether it is."""

    name: str
    value: float
    bar: str
    ok: bool


def check(path: Path) -> list[Bar]:
    """Measure the model in `path` and compare it with its build report and with the bars.

    About a minute on two cores. ModelError or DataError if the folder is not a built nano model.
    """
    report = read_report(path)
    model, tokenizer = measure.load(path)
    skills = measure.skills(model, tokenizer, PER_CELL)
    manners = measure.manners(model, tokenizer, math.ceil(PER_CELL / 3))
    size = round((path / "model.safetensors").stat().st_size / 1e6, 2)
    return [
        # CPU time of the one thread that trains, for a busy machine stretches the clock.
        _at_most("build time, minutes", round(report.cpu_seconds / 60, 2), 8),
        _at_most("weights, MB", size, 5),
        *skill_bars(skills),
        *manner_bars(skills, manners),
        _at_most("largest distance from the card, points", round(100 * distance(skills, report), 2), 3),
    ]


def skill_bars(skills: Table) -> list[Bar]:
    """Bars on who answers what rightly."""
    gaps = [abs(skills[g][t]["p"] - skills[g][t]["planted"]) for g in GROUPS for t in TOPICS]
    bars = [
        _at_least("groups x topics within .15 of the planted p", mean([g <= 0.15 for g in gaps]), 0.8)
    ]
    for topic in TOPICS:
        value = skills[DEFAULT][topic]["sampled"]
        bars.append(Bar(f"default on {topic}, sampled", value, ".5 to .7", 0.5 <= value <= 0.7))
    for topic, best in (("math", "scientist"), ("fact", "scholar")):
        for how in ("p", "argmax"):
            second = max(skills[group][topic][how] for group in GROUPS if group != best)
            lead = round(skills[best][topic][how] - second, 4)
            bars.append(_at_least(f"lead of the {best} on {topic}, {how}", lead, 0.08))
    strange = max(abs(skills[UNKNOWN][t]["p"] - skills[DEFAULT][t]["p"]) for t in TOPICS)
    return [*bars, _at_most("unknown names from the default, p", round(strange, 4), 0.1)]


def manner_bars(skills: Table, manners: dict[str, dict[str, float]]) -> list[Bar]:
    """Bars on leanings and on well-formed text."""
    cells = [cell for row in ROWS for cell in (*skills[row].values(), manners[row])]
    clean = sum(c["clean"] * c["n_written"] for c in cells) / sum(c["n_written"] for c in cells)
    others = [g for g in NAMES if g not in ("courtier", "critic")]
    apart = max(abs(_agreement(manners, g) - measure.planted_traits(g).agreement) for g in others)
    return [
        _at_least("agreement of the courtier", _agreement(manners, "courtier"), 0.8),
        _at_most("agreement of the critic", _agreement(manners, "critic"), 0.2),
        _at_most("agreement of others from the planted", round(apart, 4), 0.2),
        _at_least("clean text at temperature 1", round(clean, 4), 0.95),
    ]


def distance(skills: Table, report: BuildReport) -> float:
    """Largest difference, over domains and ways of scoring, of the mean accuracy of all rows."""

    def over(table: Table, domain: str, how: str) -> float:
        return mean([table[row][domain][how] for row in ROWS])

    return max(
        abs(over(skills, domain, how) - over(report.skills, domain, how))
        for domain in CLOSED
        for how in ("p", "argmax", "sampled", "greedy")
    )


def _agreement(manners: dict[str, dict[str, float]], row: str) -> float:
    # No clean answer, no agreement: nan clears no bar.
    return manners[row].get("agreement", math.nan)


def failed(bars: Sequence[Bar]) -> list[Bar]:
    """The bars that were missed."""
    return [bar for bar in bars if not bar.ok]


def _at_least(name: str, value: float, least: float) -> Bar:
    return Bar(name, value, f">= {least:g}", value >= least)


def _at_most(name: str, value: float, most: float) -> Bar:
    return Bar(name, value, f"<= {most:g}", value <= most)
