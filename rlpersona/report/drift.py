"""A measurement of drift as one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rlpersona.report import drawing, words
from rlpersona.report.drift_figures import figures_of
from rlpersona.report.drift_records import SHORT, SPOKEN, TEXTS, DriftRun, factors_label, read_drift_run
from rlpersona.report.drift_table import interval, moved, turned
from rlpersona.report.html import flat_pairs, page_environment
from rlpersona.store import REPORT, atomic


def write_drift(folder: Path) -> Path:
    """Write `report.html` into the folder of a finished measurement and return its path.

    Made from the files in the folder alone; the same files give the same bytes. RunError if one is
    missing or broken; a page that was there before is replaced whole or not at all.
    """
    run = read_drift_run(folder)
    environment = page_environment()
    page = environment.get_template("drift.html.jinja").render(_page(run))
    path = folder / REPORT
    with atomic(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def _page(run: DriftRun) -> dict[str, Any]:
    """What the template is filled with."""
    from markupsafe import Markup

    summary = run.summary
    main = run.main()
    figures = {
        name: Markup(drawing.svg(figure, name, words.clean(told)))
        for name, (figure, told) in figures_of(run).items()
    }
    return {
        "run": run,
        "summary": summary,
        "level": f"{100 * summary['level']:g} %",
        "figures": figures,
        "main": run.label(main),
        "last": {text: run.of(main, text)[-1] for text in TEXTS},
        "points": [
            {"label": run.label(training), "text": text, "checkpoints": run.of(training, text)}
            for training in run.trainings()
            for text in TEXTS
        ],
        "spoken": SPOKEN,
        "short": SHORT,
        "moved": moved,
        "interval": interval,
        "turned": turned,
        "cell": factors_label,
        "provenance": list(flat_pairs(run.provenance)),
        "command": "rlpersona axis drift "
        + shlex.join([summary["of"], f"axis={summary['axis']}", f"name={run.name}-again"]),
    }
