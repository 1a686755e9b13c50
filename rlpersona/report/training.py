"""One GRPO training as one self-contained HTML page: no script, nothing loaded from anywhere."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.report import drawing
from rlpersona.report.dose_words import bracket, named, value
from rlpersona.report.drawing import ACCENT, GRID, INK, MUTED, POOL, SIZE, SMALL, WARM
from rlpersona.report.html import flat_pairs, page_environment
from rlpersona.report.words import clean
from rlpersona.store import CONFIG, PROVENANCE, REPORT, SUMMARY, Run, atomic

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Row = dict[str, Any]
STYLES = ((ACCENT, "-"), (WARM, "--"), (POOL, "-."), (INK, ":"), (MUTED, (0, (6, 2))))
SHOWN = ("correct", "tokens", "stopped", "task")  # metrics of the table, the others are a list
HEIGHT = 2.6  # inches


def write_training_report(folder: Path) -> Path:
    """Write `report.html` into the folder of a finished training and return its path.

    Made from the files in the folder alone; the same files give the same bytes. RunError if one is
    missing or broken; a page that was there before is replaced whole or not at all.
    """
    import pandas as pd

    run = Run(folder)
    summary, rows = run.read_json(SUMMARY), run.metrics()
    readout = pd.read_parquet(folder / "readout.parquet")
    texts = pd.read_parquet(folder / "suite.parquet").set_index("question")["text"]
    environment = page_environment()
    environment.filters |= {"named": named, "value": value, "bracket": bracket}
    page = environment.get_template("training.html.jinja").render(
        name=run.name,
        summary=summary,
        design=summary["design"],
        level=f"{100 * summary['level']:g} %",
        claims=[one for one in summary["changes"] if one["primary"]],
        shown=[one for one in summary["changes"] if one["metric"] in SHOWN],
        other=[
            one for one in summary["changes"] if one["metric"] not in SHOWN and one["domain"] == "all"
        ],
        figures=_figures(rows, summary["design"]["domains"]),
        samples=_samples(readout, texts, summary["design"]["step"]),
        config=(folder / CONFIG).read_text(encoding="utf-8"),
        provenance=list(flat_pairs(run.read_json(PROVENANCE))),
        command=f"rlpersona grpo {shlex.quote(f'runs/{run.name}/config.yaml')} "
        f"{shlex.quote(f'name={run.name}-again')}",
    )
    path = folder / REPORT
    with atomic(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "replace"))
    return path


def _figures(rows: Sequence[Row], domains: Sequence[str]) -> dict[str, Any]:
    from markupsafe import Markup

    biases = sorted({key for row in rows for key in row if key.startswith("bias/")})
    drawn = {
        "scores": (
            curves(rows, {"task": "task", "total": "whole reward", "held_out/task": "task, held out"}
                   | {key: f"{key.removeprefix('bias/')} feature" for key in biases}),
            "Scores by step",
        ),
        "doses": (
            curves(rows, {f"{domain}/effective_dose": domain for domain in domains}) if biases else None,
            "Effective dose by step and domain",
        ),
        "tied": (
            curves(rows, {f"{domain}/tied_groups": domain for domain in domains}),
            "Share of tied groups by step and domain",
        ),
        "length": (
            curves(rows, {"length": "training", "held_out/length": "held out"}),
            "Length by step",
        ),
        "kl": (curves(rows, {"held_out/kl": "KL from the start, nats a completion"}), "KL by step"),
    }  # fmt: skip
    return {
        name: Markup(drawing.svg(figure, name, said))
        for name, (figure, said) in drawn.items()
        if figure is not None
    }


def curves(rows: Sequence[Row], names: dict[str, str]) -> Figure | None:
    """A line for each name that was logged, smoothed where there are many steps, over the step."""
    import pandas as pd

    table = pd.DataFrame(rows).set_index("step")
    known = {key: label for key, label in names.items() if key in table}
    if not known:
        return None
    figure = drawing.new_figure(HEIGHT)
    axes = drawing.add_axes(figure, left=0.6, right=0.2, top=0.35, bottom=0.5)
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    for place, (key, label) in enumerate(known.items()):
        line = table[key].dropna()
        color, style = STYLES[place % len(STYLES)]
        smooth = line.rolling(max(1, len(line) // 15), min_periods=1, center=True).mean()
        marker = "o" if len(line) < 20 else ""
        axes.plot(
            smooth.index, smooth, color=color, linestyle=style, linewidth=1.7, marker=marker,
            markersize=3.5, label=clean(label),
        )  # fmt: skip
    axes.set_xlabel("step", fontsize=SMALL, color=MUTED)
    box = figure.legend(
        loc="upper left", ncols=len(known), frameon=False, fontsize=SMALL, labelcolor=MUTED,
        bbox_to_anchor=(0.06, 1.0),
    )  # fmt: skip
    for text in box.get_texts():
        text.set_parse_math(False)
        text.set_fontsize(SIZE)
    return figure


def _samples(readout: pd.DataFrame, texts: pd.Series, step: int) -> list[Row]:
    """The first completion of one prompt a domain, of the base and of the last step."""
    first = readout[readout["sample"] == 0]
    found = []
    for domain, rows in first.groupby("domain", sort=False):
        question = rows["question"].iloc[0]
        mine = rows[rows["question"] == question].set_index("step")
        found.append(
            {
                "domain": str(domain),
                "prompt": str(texts.get(question, "")),
                "answers": [
                    (label, str(mine.at[at, "text"]), mine.at[at, "finish"] == "length")
                    for at, label in ((0, "base"), (step, f"step {step}"))
                    if at in mine.index
                ],
            }
        )
    return found
