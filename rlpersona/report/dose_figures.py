"""The figures of a dose-response. Each function draws one matplotlib `Figure`; `drawing.svg` writes it.

Shares are drawn in percent, everything else in its own unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.report import drawing
from rlpersona.report.dose_records import DoseRun, Json
from rlpersona.report.dose_words import factor, named
from rlpersona.report.drawing import ACCENT, CARD, GRID, INK, MUTED, POOL, SIZE, SMALL, WARM
from rlpersona.report.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3  # panels in a row
PANEL = 1.95  # inches from one row of panels to the next
STYLES = ((ACCENT, "-"), (WARM, "--"), (POOL, "-."), (INK, ":"), (MUTED, (0, (6, 2))))


def dose_panels(run: DoseRun, arm: Json, metric: str) -> Figure | None:
    """A panel a domain: mean over runs by bias_weight with its interval as a band, a dot a run, the base
    as a dashed line; in the first panel, over all domains, also the Emax curve where one was found."""
    shown = [one for one in arm["responses"] if one["metric"] == metric]
    if not shown:
        return None
    figure, grid = _panels(len(shown), PANEL)
    scale = factor(metric)
    lows, highs = [], []
    for axes, one in zip(grid, shown, strict=True):
        doses = [point["dose"] for point in one["means"]]
        means = np.array([scale * point["estimate"] for point in one["means"]])
        low, high = (
            np.array([math.nan if point[end] is None else scale * point[end] for point in one["means"]])
            for end in ("low", "high")
        )
        axes.fill_between(doses, low, high, color=ACCENT, alpha=0.16, linewidth=0)
        axes.plot(doses, means, "-", color=ACCENT, linewidth=2, zorder=3)
        runs = run.values_of(arm, metric, one["domain"])
        axes.plot(
            runs["dose"],
            scale * runs[metric],
            "o",
            color=POOL,
            markersize=3.2,
            markeredgewidth=0,
            zorder=4,
        )
        base = run.base_of(arm, metric, one["domain"])
        if base is not None:
            axes.axhline(scale * base, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
        _emax(axes, one, max(doses), scale)
        _title(axes, one["domain"] if one["domain"] != "all" else "all domains")
        seen = [*means, *(scale * runs[metric]), *([] if base is None else [scale * base])]
        lows.append(min(seen))
        highs.append(max(seen))
    margin = 0.08 * (max(highs) - min(lows)) or 0.5
    for axes in grid:
        axes.set_ylim(min(lows) - margin, max(highs) + margin)
        axes.xaxis.set_major_formatter(lambda dose, _: f"{dose:g}")
        axes.set_xlabel("bias_weight", fontsize=SMALL, color=MUTED)
    return figure


def drift(run: DoseRun, metrics: Sequence[str]) -> Figure | None:
    """One row a metric and domain: how far the runs of dose 0 moved from the base, with interval, in
    standard deviations of the base's questions; the band is the margin of no matter."""
    rows = [
        one
        for one in run.summary["drift"]
        if one["metric"] in metrics and one["margin"] and one["low"] is not None
    ]
    if not rows:
        return None
    labels = [f"{named(one['metric'])}, {one['domain']}" for one in rows]
    figure, axes, places = drawing.row_axes(labels, right=1.1, top=0.3)
    for one, place in zip(rows, places, strict=True):
        unit = one["margin"] / run.margin
        ends = one["low"] / unit, one["high"] / unit
        axes.plot(ends, [place, place], color=ACCENT, linewidth=2.4, solid_capstyle="round", zorder=3)
        axes.plot(one["estimate"] / unit, place, "o", color=ACCENT, markersize=7, zorder=4)
        said = "equivalent" if one["equivalent"] else "drifts" if (one["p"] or 1) < run.alpha else "open"
        drawing.beside(axes, said, place, side="right")
    axes.axvspan(-run.margin, run.margin, color=MUTED, alpha=0.1, linewidth=0, zorder=1)
    drawing.rule(axes, 0, "as the base", MUTED)
    axes.set_xlabel(
        "drift of the runs of bias_weight 0, standard deviations", fontsize=SMALL, color=MUTED
    )
    return figure


def effective_map(arm: Json) -> Figure | None:
    """Rows are domains, columns weights: the share of the advantage that the bias explained."""
    points = (arm["effective"] or {}).get("points", [])
    if not points:
        return None
    from matplotlib.patches import Rectangle

    domains = list(dict.fromkeys(point["domain"] for point in points))
    doses = sorted({point["dose"] for point in points})
    figure = drawing.new_figure(0.42 * len(domains) + 0.85)
    axes = drawing.add_axes(figure, left=1.5, right=0.3, top=0.2, bottom=0.6)
    axes.set_xlim(0, len(doses))
    axes.set_ylim(len(domains), 0)
    axes.spines["bottom"].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([place + 0.5 for place in range(len(doses))], [f"{dose:g}" for dose in doses])
    axes.set_xlabel("bias_weight", fontsize=SMALL, color=MUTED)
    found = {(point["domain"], point["dose"]): point["effective"] for point in points}
    for row, domain in enumerate(domains):
        drawing.beside(axes, clean(domain), row + 0.5, side="left", color=INK)
        for column, dose in enumerate(doses):
            value = found.get((domain, dose))
            box = (column + 0.03, row + 0.05)
            axes.add_patch(Rectangle(box, 0.94, 0.9, facecolor=CARD, edgecolor=GRID, linewidth=0.8))
            if value is not None:
                strength = 0.75 * min(1.0, max(0.0, value))
                axes.add_patch(Rectangle(box, 0.94, 0.9, facecolor=ACCENT, alpha=strength, linewidth=0))
            text = "none" if value is None else f"{100 * value:.0f} %"
            axes.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SIZE, color=INK,
                parse_math=False,
            )  # fmt: skip
    return figure


def effective_curve(run: DoseRun, arm: Json) -> Figure | None:
    """The bias's own metric against what each run's effective dose was: a dot a run, a mark a weight."""
    runs = run.effective_of(arm)
    if runs is None or arm["own"] is None:
        return None
    scale = factor(arm["own"])
    figure = drawing.new_figure(3.0)
    axes = drawing.add_axes(figure, left=0.75, right=1.2, top=0.45, bottom=0.6)
    doses = sorted(runs["dose"].unique())
    for dose, marker in zip(doses, _markers(), strict=False):
        part = runs[runs["dose"] == dose]
        axes.plot(
            100 * part["effective"], scale * part[arm["own"]], marker, color=ACCENT, markersize=6,
            markeredgewidth=0, linestyle="none", label=f"{dose:g}",
        )  # fmt: skip
    _title(axes, f"{named(arm['own'])} of each run")
    axes.grid(color=GRID, linewidth=0.7)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_xlabel("effective dose: share of the advantage", fontsize=SMALL, color=MUTED)
    legend = axes.legend(
        title="bias_weight", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False,
        fontsize=SMALL, labelcolor=MUTED,
    )  # fmt: skip
    legend.get_title().set(fontsize=SMALL, color=MUTED)
    return figure


def controls(run: DoseRun) -> Figure | None:
    """One row an arm: slope of the bias's own metric per unit of bias_weight, interval over seeds."""
    rows: list[tuple[str, Mapping[str, Any], str, str]] = []
    for one in run.summary["controls"]:
        if one["against"] not in [label for label, *_ in rows]:
            rows.append((one["against"], one["against_slope"], one["metric"], ACCENT))
        rows.append((one["label"], one["slope"], one["metric"], WARM))
    if not rows:
        return None
    figure, axes, places = drawing.row_axes([label for label, *_ in rows], right=1.75, top=0.45)
    for (_, slope, metric, color), place in zip(rows, places, strict=True):
        scale = factor(metric)
        if slope["low"] is not None:
            ends = scale * slope["low"], scale * slope["high"]
            axes.plot(ends, [place, place], color=color, linewidth=2.4, solid_capstyle="round", zorder=3)
        marker = "o" if color == ACCENT else "D"
        axes.plot(scale * slope["estimate"], place, marker, color=color, markersize=7, zorder=4)
        drawing.beside(axes, f"{scale * slope['estimate']:+.1f}", place, side="right", color=INK)
    drawing.rule(axes, 0, "no response", MUTED)
    unit = named(rows[0][2]) if len({row[2] for row in rows}) == 1 else "the bias's own metric"
    axes.set_xlabel(f"slope of {unit} per unit of bias_weight", fontsize=SMALL, color=MUTED)
    return figure


def reward_parts(run: DoseRun, arm: Json) -> Figure | None:
    """Task score, bias, whole reward over the steps of training: a line a weight, mean over seeds."""
    table = run.telemetry_of(arm)
    names = [
        name for name in ("task", f"bias/{arm['bias']}", "total") if table is not None and name in table
    ]
    if table is None or not names:
        return None
    figure, grid = _panels(len(names), 2.5)
    lines = {}
    for axes, name in zip(grid, names, strict=True):
        for place, dose in enumerate(sorted(table["dose"].unique())):
            mean = table[table["dose"] == dose].groupby("step")[name].mean().dropna()
            if mean.empty:
                continue
            color, style = STYLES[place % len(STYLES)]
            smooth = mean.rolling(max(1, len(mean) // 15), min_periods=1, center=True).mean()
            (lines[f"{dose:g}"],) = axes.plot(
                smooth.index, smooth, color=color, linestyle=style, linewidth=1.7, label=f"{dose:g}"
            )
        _title(axes, {"task": "task", "total": "whole reward"}.get(name, f"{arm['bias']} feature"))
        axes.set_xlabel("step", fontsize=SMALL, color=MUTED)
    box = figure.legend(
        list(lines.values()), [f"bias_weight {dose}" for dose in lines], loc="lower center",
        ncols=len(lines), frameon=False, fontsize=SMALL, labelcolor=MUTED, handlelength=2.0,
    )  # fmt: skip
    for text in box.get_texts():
        text.set_parse_math(False)
    return figure


def proxy_and_gold(run: DoseRun, arm: Json) -> Figure | None:
    """Gains of the whole reward and of the held-out task over sqrt(KL), with the fitted curves."""
    rows = [one for one in arm["overoptimization"] or [] if "alpha" in one["gold"]]
    points = run.gains_of(arm)
    if not rows or points is None:
        return None
    figure, grid = _panels(2, 2.6)
    for axes, name in zip(grid, ("proxy", "gold"), strict=True):
        for place, one in enumerate(rows):
            color, style = STYLES[place % len(STYLES)]
            part = points[points["dose"] == one["dose"]].dropna(subset=["distance", name])
            axes.plot(part["distance"], part[name], "o", color=color, markersize=2.6, alpha=0.6)
            if "alpha" not in one[name] or part.empty:
                continue
            at = np.linspace(0, float(part["distance"].max()), 60)
            log = np.where(at > 0, np.log(np.where(at > 0, at, 1.0)), 0.0)
            curve = at * (one[name]["alpha"] - one[name]["beta"] * log)
            axes.plot(at, curve, color=color, linestyle=style, linewidth=1.7, label=f"{one['dose']:g}")
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        _title(axes, {"proxy": "whole reward (proxy)", "gold": "held-out task (gold)"}[name])
        axes.set_xlabel("sqrt(KL from the start), nats", fontsize=SMALL, color=MUTED)
    grid[0].legend(
        frameon=False, fontsize=SMALL, labelcolor=MUTED, title="bias_weight", title_fontsize=SMALL
    )
    return figure


def _panels(number: int, height: float) -> tuple[Figure, list[Axes]]:
    """Axes in rows of ACROSS at most, and a margin for labels."""
    across = min(ACROSS, number)
    down = math.ceil(number / across)
    total = down * height + 0.35
    figure = drawing.new_figure(total)
    width = (drawing.WIDTH - 0.3) / across
    axes = []
    for place in range(number):
        row, column = divmod(place, across)
        axes.append(
            drawing.add_axes(
                figure,
                left=0.6 + column * width,
                right=drawing.WIDTH - (0.6 + column * width) - (width - 0.5),
                top=0.35 + row * height,
                bottom=total - 0.35 - row * height - (height - 0.8),
            )
        )
        axes[-1].grid(axis="y", color=GRID, linewidth=0.7)
    return figure, axes


def _emax(axes: Axes, one: Json, top: float, scale: float) -> None:
    curve = one.get("emax") or {}
    if one["domain"] != "all" or curve.get("problem", "missing"):
        return
    at = np.linspace(0, top, 80)
    fitted = curve["e0"] + curve["emax"] * at / (curve["ed50"] + at)
    axes.plot(at, scale * fitted, color=WARM, linewidth=1.4, linestyle=(0, (4, 2)))


def _title(axes: Axes, text: str) -> None:
    axes.set_title(clean(text), loc="left", fontsize=SIZE, color=INK, pad=6, parse_math=False)


def _markers() -> tuple[str, ...]:
    return ("o", "s", "D", "^", "v", "P", "X", "*")
