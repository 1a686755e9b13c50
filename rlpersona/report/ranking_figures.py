"""The figures of a ranking of models. Each function draws one matplotlib `Figure`; `drawing.svg` writes
it. Rows and columns are models, the base first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlpersona.report import drawing
from rlpersona.report.drawing import ACCENT, CARD, GRID, INK, MUTED, POOL, SIZE, SMALL, WARM
from rlpersona.report.ranking_records import BASE, ModelRecord, Ranking, RankingData
from rlpersona.report.words import MISSING, percent, share_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL = 0.62  # inches that a cell of the heat map is high
BINS = 40


def win_rates(summary: Ranking) -> Figure:
    """One row a model: its win rate over the base with interval; open circle: what is left of it at
    equal length. The line is one half."""
    shown = [name for name in summary.names if summary.over_base(name) is not None]
    figure, axes, rows = drawing.row_axes(shown, right=1.75, top=0.45)
    axes.set_xlim(-3, 103)
    for name, row in zip(shown, rows, strict=True):
        pair = summary.over_base(name)
        if pair is None or pair.win is None:
            drawing.beside(axes, MISSING, row, side="right")
            continue
        drawing.interval(axes, pair.win, row, ACCENT, "o")
        rate = pair.controlled.rate if pair.controlled else None
        if rate is not None and rate.estimate is not None:
            axes.plot(100 * rate.estimate, row, color=WARM, label="equal length", **drawing.OPEN)
        drawing.beside(axes, share_interval(pair.win), row, side="right", color=INK)
    drawing.rule(axes, 50, "no difference", MUTED)
    drawing.percent_axis(axes, f"comparisons won against {BASE} (open: at equal length)")
    return figure


def heat_map(summary: Ranking) -> Figure:
    """How often the model of a row beat that of a column, in percent; a frame around what is shown after
    Holm's correction. Blue: more than half, orange: less; the numbers say the same."""
    names = summary.names
    size = len(names)
    left, top = 1.9, 0.75
    figure = drawing.new_figure(CELL * size + top + 0.1)
    axes = drawing.add_axes(figure, left=left, right=0.3, top=top, bottom=0.1)
    axes.set_xlim(0, size)
    axes.set_ylim(size, 0)
    axes.spines["bottom"].set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([])
    for row, first in enumerate(names):
        drawing.beside(axes, first, row + 0.5, side="left", color=INK)
        head = "-\n".join(first.rsplit("-", 1)) if len(first) > 12 else first
        axes.annotate(
            head, (row + 0.5, 0), xytext=(0, 6), textcoords="offset points", ha="center", va="bottom",
            fontsize=SMALL, color=INK, parse_math=False, annotation_clip=False,
        )  # fmt: skip
        for column, second in enumerate(names):
            _cell(axes, summary, (row, first), (column, second))
    return figure


def likeness(run: RankingData) -> Figure | None:
    """One row a model: how its answers' likeness to the oracle's is spread, with its mean and interval.
    None where likeness was not measured."""
    models = [record for record in run.summary.models if record.likeness is not None]
    if not models or "likeness" not in run.responses.columns:
        return None
    figure, axes, rows = drawing.row_axes([record.name for record in models], right=1.3, top=0.1)
    values = run.responses["likeness"].dropna().to_numpy(dtype=np.float64)
    low, high = float(values.min()), float(max(values.max(), values.min() + 1e-3))
    axes.set_xlim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    edges = np.linspace(low, high, BINS + 1)
    for record, row in zip(models, rows, strict=True):
        own = run.responses.loc[run.responses["model"] == record.name, "likeness"].dropna()
        counts, _ = np.histogram(own, edges)
        heights = 1.15 * counts / max(1, counts.max())
        axes.stairs(row + 0.62 - heights, edges, baseline=row + 0.62, fill=True, color=POOL, alpha=0.45)
        mean = record.likeness
        if mean is None or mean.estimate is None:
            continue
        if mean.low is not None and mean.high is not None:
            axes.plot([mean.low, mean.high], [row + 0.62] * 2, color=ACCENT, linewidth=2.4, zorder=3)
        axes.plot(mean.estimate, row + 0.62, "o", color=ACCENT, markersize=6, zorder=4)
        drawing.beside(axes, f"mean {mean.estimate:.3f}", row, side="right")
    axes.set_xlabel("cosine to the oracle's answer", fontsize=SMALL, color=MUTED)
    return figure


def length_and_score(summary: Ranking) -> Figure:
    """One point a model: mean length of its answers and mean rank, both with intervals. What lies on one
    rising line may be nothing but length."""
    figure = drawing.new_figure(3.6)
    axes = drawing.add_axes(figure, left=0.75, right=0.9, top=0.3, bottom=0.6)
    known = [one for one in summary.models if one.tokens is not None and one.rank is not None]
    for record in known:
        tokens, rank = record.tokens, record.rank
        if tokens is None or rank is None or tokens.estimate is None or rank.estimate is None:
            continue
        color = POOL if record.name == BASE else ACCENT
        if tokens.low is not None and tokens.high is not None:
            axes.plot(
                [tokens.low, tokens.high], [rank.estimate] * 2, color=color, linewidth=1.6, zorder=3
            )
        if rank.low is not None and rank.high is not None:
            axes.plot([tokens.estimate] * 2, [rank.low, rank.high], color=color, linewidth=1.6, zorder=3)
        axes.plot(tokens.estimate, rank.estimate, "o", color=color, markersize=7.5, zorder=4)
        axes.annotate(
            record.name, (tokens.estimate, rank.estimate), textcoords="offset points",
            xytext=(8, -13 if _crowded(record, known) else 7),
            fontsize=SMALL, color=INK, parse_math=False, annotation_clip=False,
        )  # fmt: skip
    axes.invert_yaxis()
    axes.margins(0.12)
    axes.grid(color=GRID, linewidth=0.7)
    drawing.panel(axes, f"mean rank of {len(summary.models)}, the best above", empty=not known)
    axes.set_xlabel("mean length of an answer, tokens", fontsize=SMALL, color=MUTED)
    return figure


def _crowded(record: ModelRecord, known: Sequence[ModelRecord]) -> bool:
    """Whether another model's point stands just above this one's, where its label would be."""
    places = {one.name: _place(one) for one in known}
    width, height = (
        max(place[k] for place in places.values()) - min(place[k] for place in places.values())
        for k in (0, 1)
    )
    x, y = places[record.name]
    return any(
        abs(other_x - x) < 0.3 * width and 0 <= y - other_y < 0.12 * height
        for name, (other_x, other_y) in places.items()
        if name != record.name
    )


def _place(record: ModelRecord) -> tuple[float, float]:
    """Mean length and mean rank; nan where unknown."""
    values = (
        math.nan if one is None or one.estimate is None else one.estimate
        for one in (record.tokens, record.rank)
    )
    return next(values), next(values)


def _cell(axes: Axes, summary: Ranking, at: tuple[int, str], other: tuple[int, str]) -> None:
    """One cell of the heat map; nothing on the diagonal."""
    from matplotlib.patches import Rectangle

    (row, first), (column, second) = at, other
    if first == second:
        return
    pair, turned = summary.pair(first, second), False
    if pair is None:
        pair, turned = summary.pair(second, first), True
    rate = pair.win.estimate if pair is not None and pair.win is not None else None
    box = (column + 0.03, row + 0.04)
    if pair is None or rate is None:
        axes.add_patch(Rectangle(box, 0.94, 0.92, facecolor="none", edgecolor=GRID))
        axes.text(column + 0.5, row + 0.5, "none", ha="center", va="center", fontsize=SMALL, color=MUTED)
        return
    rate = 1 - rate if turned else rate
    strength = 0.75 * min(1.0, 2 * abs(rate - 0.5))
    color = ACCENT if rate >= 0.5 else WARM
    axes.add_patch(Rectangle(box, 0.94, 0.92, facecolor=CARD, edgecolor=GRID, linewidth=0.8))
    axes.add_patch(Rectangle(box, 0.94, 0.92, facecolor=color, alpha=strength, linewidth=0))
    shown = pair.win is not None and pair.win.p_holm is not None
    if shown and pair.win is not None and (pair.win.p_holm or 0) < 1 - summary.level:
        axes.add_patch(Rectangle(box, 0.94, 0.92, facecolor="none", edgecolor=INK, linewidth=1.6))
    axes.text(
        column + 0.5, row + 0.5, percent(rate), ha="center", va="center", fontsize=SIZE, color=INK,
        fontweight="bold", parse_math=False,
    )  # fmt: skip


def figures_of(run: RankingData) -> dict[str, tuple[Figure, str]]:
    """Every figure of the page with the words that are read aloud in its place."""
    summary = run.summary
    drawn: dict[str, tuple[Figure, str]] = {}
    if any(pair.second == BASE for pair in summary.pairs):
        drawn["wins"] = win_rates(summary), "Win rate of each model over the base, with intervals"
    drawn["pairs"] = heat_map(summary), "How often each model beat each other"
    drawn["length"] = length_and_score(summary), "Mean length and mean rank of each model"
    if (spread := likeness(run)) is not None:
        drawn["likeness"] = spread, "Spread of the likeness to the oracle by model"
    return drawn


def drawn_in(names: Sequence[str], run: RankingData) -> dict[str, str]:
    """Figures as SVG, those of `names` that the run has."""
    return {
        name: drawing.svg(figure, name, description)
        for name, (figure, description) in figures_of(run).items()
        if name in names
    }
