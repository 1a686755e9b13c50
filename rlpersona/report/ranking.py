"""A ranking of models as one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.behaviour import MEASURES
from rlpersona.report import drawing, words
from rlpersona.report.html import flat_pairs, page_environment
from rlpersona.report.ranking_figures import figures_of
from rlpersona.report.ranking_records import BASE, PairRecord, Ranking, RankingData, read_ranking
from rlpersona.report.ranking_table import coefficient, remarks
from rlpersona.report.records import Measured
from rlpersona.store import REPORT, SUMMARY, atomic

if TYPE_CHECKING:
    from jinja2 import Environment

PARTIAL_REPORT = "evaluation/report.html"


def write_ranking(folder: Path) -> Path:
    """Write the page of an evaluated run into its folder and return its path.

    `report.html`, or `evaluation/report.html` while models of the graph are missing. Made from the files
    in the folder alone; the same files give the same bytes. RunError if one is missing or broken.
    """
    run = read_ranking(folder)
    page = environment().get_template("ranking.html.jinja").render(_page(run))
    path = folder / (REPORT if (folder / SUMMARY).exists() else PARTIAL_REPORT)
    with atomic(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def environment() -> Environment:
    """The templates' environment, with how numbers that are no shares are written."""
    found = page_environment()
    found.filters |= {"coef": coefficient, "mean": _mean, "signed": _signed}
    return found


def _page(run: RankingData) -> dict[str, Any]:
    """What the template is filled with."""
    from markupsafe import Markup

    summary = run.summary
    return {
        "run": run,
        "summary": summary,
        "level": f"{100 * summary.level:g} %",
        "base": BASE,
        "best": _best(summary),
        "figures": {
            name: Markup(drawing.svg(figure, name, description))
            for name, (figure, description) in figures_of(run).items()
        },
        "pairs": [pair for pair in summary.pairs if pair.second != BASE],
        "behaviours": _behaviours(summary),
        "meaning": MEASURES,
        "remarks": remarks(summary),
        "provenance": list(flat_pairs(run.provenance)),
        "commands": _commands(run),
    }


def _best(summary: Ranking) -> PairRecord | None:
    """The model with the highest win rate over the base; None where none was compared with it."""
    against = [pair for pair in summary.pairs if pair.second == BASE and pair.win is not None]
    return max(against, key=lambda pair: (pair.win and pair.win.estimate) or 0.0, default=None)


def _behaviours(summary: Ranking) -> list[str]:
    """The measures that any model has, in their order."""
    return list(dict.fromkeys(name for record in summary.models for name in record.behaviour))


def _commands(run: RankingData) -> list[str]:
    """The shell lines that repeat the run under another name, and that evaluate this one again."""
    name = run.summary.run
    commit = re.fullmatch(r"([0-9a-f]{7,64})(\+changes)?", str(run.provenance.get("git_commit")))
    lines = (
        [f"git checkout {commit[1]}{'  # and changes on top' if commit[2] else ''}"] if commit else []
    )
    config = shlex.quote(f"runs/{name}/config.yaml")
    return [
        *lines,
        f"rlpersona dpo {config} {shlex.quote(f'name={name}-again')}",
        f"rlpersona evaluate {shlex.quote(name)}",
    ]


def _mean(value: Measured | None, digits: int = 1) -> str:
    """A mean that is no share: `24.3 [22.1, 26.5]`."""
    if value is None or value.estimate is None:
        return words.MISSING
    text = f"{value.estimate:.{digits}f}"
    if value.low is None or value.high is None:
        return text
    return f"{text} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _signed(value: Measured | None) -> str:
    """A strength or a term in log-odds, always signed: `+1.20 [+0.80, +1.71]`; `-` for an open end."""
    if value is None or value.estimate is None:
        return words.MISSING
    ends = ("open" if end is None else f"{end:+.2f}" for end in (value.low, value.high))
    return f"{value.estimate:+.2f} [{', '.join(ends)}]"
