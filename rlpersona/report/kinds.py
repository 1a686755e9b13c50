"""What each kind of experiment prints, and the page that it writes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TextIO

from rlpersona.errors import ConfigError
from rlpersona.store import REPORT, SUMMARY, Run


@dataclass(frozen=True)
class Kind:
    """Where the functions of a kind are: `table(summary, file, page)`, `page(folder) -> Path`."""

    table: str
    page: str | None = None


KINDS = {
    "bandit": Kind("rlpersona.report.table:print_summary", "rlpersona.report.html:write_report"),
    "temporal": Kind("rlpersona.report.temporal:print_temporal"),
    "dpo": Kind(
        "rlpersona.report.ranking_table:print_ranking", "rlpersona.report.ranking:write_ranking"
    ),
    "grpo": Kind(
        "rlpersona.report.dose_table:print_training", "rlpersona.report.training:write_training_report"
    ),
    "sweep": Kind("rlpersona.report.dose_table:print_sweep", "rlpersona.report.dose:write_dose_report"),
    "axis": Kind("rlpersona.report.axis_table:print_axis", "rlpersona.report.axis:write_axis_report"),
    "drift": Kind("rlpersona.report.drift_table:print_drift", "rlpersona.report.drift:write_drift"),
}


def print_result(run: Run, file: TextIO | None = None) -> None:
    """Print the result of a finished run; ConfigError for a set of preference pairs, which has none."""
    summary = run.read_json(SUMMARY)
    kind = _kind(run, summary)
    page = run.folder / REPORT if kind.page else None
    resolve_name(kind.table)(summary, file or sys.stdout, page)


def write_page(run: Run) -> Path:
    """Write the page of a finished run anew; ConfigError for a kind without a page."""
    kind = _kind(run, run.read_json(SUMMARY))
    if kind.page is None:
        raise ConfigError(f"'{run.name}' is of a kind that has no page.", f"rlpersona show {run.name}")
    path: Path = resolve_name(kind.page)(run.folder)
    return path


def _kind(run: Run, summary: dict[str, Any]) -> Kind:
    name = summary.get("experiment", "bandit")
    if name not in KINDS:
        raise ConfigError(f"'{run.name}' holds preference pairs.", f"rlpersona label check {run.name}")
    return KINDS[name]
