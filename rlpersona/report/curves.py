"""What changes over the rounds beside the reward: other benchmarks, and the groups of personas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlpersona.report import drawing
from rlpersona.report.drawing import ACCENT, GRID, INK, MUTED, POOL, SMALL, WARM
from rlpersona.report.records import Round
from rlpersona.report.words import clean, count, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 6
MAX_GROUPS = 4
_PANEL = 1.95  # inches from one panel to the next
MIN_SPAN = 10.0
"""Percentage points that an axis of accuracies shows at least: less would blow up a single answer."""
_LABEL = 34  # cells of a name in a legend


def benchmarks_of(rounds: Sequence[Round]) -> list[str]:
    """The benchmarks on which transfer was measured during the search, in the order first seen."""
    return list(dict.fromkeys(name for one in rounds for name in one.transfer or {}))


def transfer_curves(rounds: Sequence[Round]) -> Figure:
    """A panel a benchmark (MAX_PANELS at most): accuracy of the policy's best personas of the moment
    and of no persona, on the rounds in which it was measured."""
    names = benchmarks_of(rounds)[:MAX_PANELS]
    height = _PANEL * max(1, len(names)) + 0.45
    figure = drawing.new_figure(height)
    for place, name in enumerate(names):
        above = 0.45 + place * _PANEL
        axes = drawing.add_axes(figure, 0.75, 0.3, above, height - above - _PANEL + 0.6)
        seen = [
            (one.round, one.transfer[name]) for one in rounds if one.transfer and name in one.transfer
        ]
        numbers = [number for number, _ in seen]
        top = [math.nan if point.top is None else 100 * point.top for _, point in seen]
        control = [math.nan if point.control is None else 100 * point.control for _, point in seen]
        axes.plot(numbers, control, "--", color=MUTED, linewidth=1.4, label="no persona")
        axes.plot(
            numbers,
            top,
            "-o",
            color=ACCENT,
            linewidth=2,
            markersize=3.5,
            label="best personas of the policy",
        )
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
        _show(axes, [*top, *control])
        questions = next((point.questions for _, point in seen if point.questions), None)
        asked = "" if questions is None else f", {count(questions)} questions"
        title = f"accuracy on {shorten(clean(name), 60)}{asked}"
        drawing.panel(axes, title, empty=bool(np.isnan([*top, *control]).all()))
        _finish(axes, last=place == len(names) - 1, legend=place == 0)
    return figure


def group_masses(rounds: Sequence[Round]) -> Figure:
    """The policy's probability of each group of personas over the rounds; beyond MAX_GROUPS the ones
    with the least probability at the end are left out."""
    seen = [(one.round, one.groups) for one in rounds if one.groups]
    final = seen[-1][1] if seen else {}
    names = sorted(final, key=lambda name: -(final[name] or 0.0))[:MAX_GROUPS]
    figure = drawing.new_figure(2.6)
    axes = drawing.add_axes(figure, 0.75, 0.3, 0.45, 0.55)
    styles = ((ACCENT, "-"), (WARM, "--"), (POOL, "-."), (INK, ":"))
    for name, (color, style) in zip(names, styles, strict=False):
        values = [
            100 * value if (value := groups.get(name)) is not None else math.nan for _, groups in seen
        ]
        label = shorten(clean(name), _LABEL)
        axes.plot([number for number, _ in seen], values, style, color=color, linewidth=2, label=label)
    axes.set_ylim(-3, 103)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    drawing.panel(axes, "share of the policy’s probability", empty=not seen)
    _finish(axes, last=True, legend=bool(seen))
    return figure


def _show(axes: Axes, values: Sequence[float]) -> None:
    """y limits around shares in percent, at least MIN_SPAN apart and hardly beyond 0 and 100."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return
    low, high = min(known), max(known)
    margin = max(0.06 * (high - low), (MIN_SPAN - (high - low)) / 2)
    shift = min(0.0, 100 - (high + margin)) - min(0.0, low - margin)
    axes.set_ylim(low - margin + shift - 0.5, high + margin + shift + 0.5)


def _finish(axes: Axes, last: bool, legend: bool) -> None:
    """Grid, round numbers below the last panel, names of the lines above the first."""
    from matplotlib.ticker import MaxNLocator

    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10], integer=True))
    if last:
        axes.set_xlabel("round", fontsize=SMALL, color=MUTED)
    if legend:
        box = axes.legend(
            loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=SMALL,
            labelcolor=MUTED, borderaxespad=0.2, handlelength=2.2,
        )  # fmt: skip
        for text in box.get_texts():
            text.set_parse_math(False)
