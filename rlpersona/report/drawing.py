"""What all figures share: colours, rows with labels beside them, and SVG that fits into a page.

Colours are written as CSS variables with the light theme's value as fallback, so that one SVG
works alone, on a light and on a dark page. They come from colour-blind safe blue, orange and grey,
and no figure tells its series apart by colour alone.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from rlpersona.report.records import Measured
from rlpersona.report.words import MISSING, clean, wrap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, CARD = "#1d2330", "#596273", "#d9dde4", "#ffffff"
ACCENT, WARM, POOL = "#0064a8", "#b4500a", "#7d8696"
_VARIABLES = {
    INK: "ink", MUTED: "muted", GRID: "grid", CARD: "card", ACCENT: "accent", WARM: "warm", POOL: "pool",
}  # fmt: skip

OPEN: dict[str, Any] = {
    "marker": "o",
    "markerfacecolor": CARD,
    "markeredgewidth": 1.6,
    "markersize": 7,
    "zorder": 5,
}

WIDTH = 7.6  # inches
SIZE, SMALL = 9.5, 8.5  # points
LINE = 0.165  # inches from one line of a label to the next
LABEL_CELLS = 30
_CELL = 0.079  # inches that one cell of a label takes at SIZE, where the font knows no better


def new_figure(height: float) -> Figure:
    """An empty figure, WIDTH inches wide, without any of pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), facecolor="none")


def add_axes(figure: Figure, left: float, right: float, top: float, bottom: float) -> Axes:
    """Axes placed by their distances in inches from the figure's left, right, top and bottom edge."""
    width, height = figure.get_size_inches()
    box = (
        left / width,
        bottom / height,
        (width - left - right) / width,
        (height - top - bottom) / height,
    )
    axes = figure.add_axes(box, facecolor="none")
    axes.tick_params(labelsize=SMALL, labelcolor=MUTED, color=GRID, length=0, pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRID)
    axes.set_axisbelow(True)
    return axes


def row_axes(
    labels: Sequence[str], right: float, top: float, tail: float = 0
) -> tuple[Figure, Axes, list[float]]:
    """A figure of one row per label, the first on top, and the y position of each row.

    Labels are wrapped, never cut: a row is as high and the margin as wide as they need. `right` and
    `top` are the margins in inches for what stands beside and above the rows; `tail` is room below
    the last row, in lines.
    """
    wrapped = [wrap(clean(label), LABEL_CELLS) for label in labels]
    heights = [len(lines) + 0.9 for lines in wrapped]
    centres = [sum(heights[:row]) + heights[row] / 2 for row in range(len(heights))]
    widest = max((_inches(line) for lines in wrapped for line in lines), default=0)
    bottom = 0.55
    total = sum(heights) + tail
    figure = new_figure(total * LINE + top + bottom)
    axes = add_axes(figure, left=max(0.6, widest + 0.25), right=right, top=top, bottom=bottom)
    axes.set_ylim(total, 0)
    axes.set_yticks([])
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    for lines, centre in zip(wrapped, centres, strict=True):
        for number, line in enumerate(lines):
            # One text per line: a block of lines loses its right edge in another font.
            beside(axes, line, centre + number - (len(lines) - 1) / 2, side="left", color=INK)
    return figure, axes, centres


def beside(axes: Axes, text: str, y: float, side: str, color: str = MUTED) -> None:
    """Write text outside the axes at height `y`, up against its `"left"` or `"right"` edge."""
    axes.annotate(
        text,
        (0 if side == "left" else 1, y),
        xycoords=("axes fraction", "data"),
        xytext=(-9 if side == "left" else 9, 0),
        textcoords="offset points",
        ha="right" if side == "left" else "left",
        va="center",
        fontsize=SIZE if side == "left" else SMALL,
        color=color,
        parse_math=False,
        annotation_clip=False,
    )


def rule(axes: Axes, x: float, label: str, color: str, *, level: int = 0, dashed: bool = False) -> None:
    """A vertical line over all rows, labelled above them; `level` 1 is the line of text further up.

    The label grows towards the middle of the axes, where there is room for it.
    """
    axes.axvline(x, color=color, linewidth=1.3, linestyle=(0, (4, 3)) if dashed else "-", zorder=1.5)
    low, high = axes.get_xlim()
    leftwards = x > (low + high) / 2
    axes.annotate(
        label,
        (x, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3 if leftwards else -3, 6 + 13 * level),
        textcoords="offset points",
        ha="right" if leftwards else "left",
        va="bottom",
        fontsize=SMALL,
        color=color,
        parse_math=False,
        annotation_clip=False,
    )


def interval(axes: Axes, measured: Measured, row: float, color: str, marker: str) -> None:
    """A dot with its interval, in percent; nothing where nothing was measured."""
    if measured.estimate is None:
        return
    if measured.low is not None and measured.high is not None:
        axes.plot(
            [100 * measured.low, 100 * measured.high],
            [row, row],
            color=color,
            linewidth=2.4,
            solid_capstyle="round",
            zorder=3,
            label="interval",
        )
    axes.plot(
        100 * measured.estimate, row, marker, color=color, markersize=7.5, zorder=4, label="estimate"
    )


def set_limits(axes: Axes, values: Sequence[float], least: float) -> None:
    """x limits around the values with a little air, at least `least` wide."""
    low, high = min(values), max(values)
    margin = max(0.06 * (high - low), (least - (high - low)) / 2)
    axes.set_xlim(low - margin, high + margin)


def percent_axis(axes: Axes, label: str) -> None:
    """An x axis of shares, drawn in percent."""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    axes.set_xlabel(label, fontsize=SMALL, color=MUTED)


def panel(axes: Axes, title: str, empty: bool) -> None:
    """The look of one of several plots above each other; says so where there is nothing in it."""
    axes.set_title(title, loc="left", fontsize=SIZE, color=INK, pad=8, parse_math=False)
    if empty:
        axes.yaxis.set_visible(False)
        axes.text(0.5, 0.5, MISSING, transform=axes.transAxes, ha="center", color=MUTED, fontsize=SMALL)


def svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an SVG element to be put into a page: the same bytes for the same figure.

    `name` keeps the ids of several figures on one page apart; `description` is read aloud in place
    of the picture. Text stays text, so names of any script are drawn by the reader's own fonts.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}), _any_script():
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    markup = buffer.getvalue()
    markup = markup[markup.index("<svg") :].rstrip()
    markup = re.sub(r"<style.*?</style>", "", markup, count=1, flags=re.DOTALL)
    markup = re.sub(r"<[^>]+>", lambda tag: _tag(tag.group(), name), markup)
    width, height = (72 * inches for inches in figure.get_size_inches())
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
        f'aria-label="{escape(clean(description))}" viewBox="0 0 {width:g} {height:g}" '
        'stroke-linejoin="round" stroke-linecap="butt">'
    )
    return re.sub(r"^<svg[^>]*>", lambda _: root, markup)


def _inches(line: str) -> float:
    """Width of a line of a label: as the font has it, but no less than its cells need."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    with _any_script():
        width, _, _ = text_to_path.get_text_width_height_descent(
            line, FontProperties(size=SIZE), ismath=False
        )
    return max(float(width) / 72, cell_len(line) * _CELL)


@contextmanager
def _any_script() -> Iterator[None]:
    """Names may hold glyphs that matplotlib's font lacks; the reader's browser draws them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def _tag(tag: str, name: str) -> str:
    """One tag with its ids made the figure's own and its colours turned into variables."""
    tag = re.sub(r'\bid="', f'id="{name}-', tag)
    tag = re.sub(r'href="#', f'href="#{name}-', tag)
    tag = re.sub(r"url\(#", f"url(#{name}-", tag)
    return re.sub(
        r"#[0-9a-f]{6}\b",
        lambda color: (
            f"var(--{_VARIABLES[color.group()]}, {color.group()})"
            if color.group() in _VARIABLES
            else color.group()
        ),
        tag,
    )
