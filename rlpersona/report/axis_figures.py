"""The figures of an axis run. Each function draws one matplotlib `Figure`; `drawing.svg` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.report import drawing
from rlpersona.report.drawing import ACCENT, GRID, INK, MUTED, POOL, SIZE, SMALL, WARM
from rlpersona.report.words import clean, shorten

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Json = dict[str, Any]
DEFAULT = "the assistant"
ENDS = 24  # roles shown at either end where there are more than twice as many
MARKERS = "osv^D<>PX*"


def scatter(table: pd.DataFrame, summary: Json) -> Figure | None:
    """Roles in the plane of the first two components, the default among them; None with one component.

    Every planted group has a marker of its own and its name beside its middle; without groups the roles
    farthest out are named. The arrow is the axis's shadow on the plane.
    """
    if "pc2" not in table.columns:
        return None
    figure = drawing.new_figure(4.6)
    axes = drawing.add_axes(figure, left=0.75, right=0.3, top=0.3, bottom=0.6)
    roles, default = table[table["kind"] == "role"], table[table["kind"] == "default"].iloc[0]
    groups = [name for name in dict.fromkeys(roles["group"]) if isinstance(name, str)]
    for number, name in enumerate(groups):
        own = roles[roles["group"] == name]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(own["pc1"], own["pc2"], marker, color=POOL, markersize=6, alpha=0.85, zorder=3)
        _name(axes, name, own["pc1"].mean(), own["pc2"].max(), INK)
    if not groups:
        axes.plot(roles["pc1"], roles["pc2"], "o", color=POOL, markersize=5, alpha=0.8, zorder=3)
        far = roles.assign(far=np.hypot(roles["pc1"], roles["pc2"])).nlargest(16, "far")
        for name, x, y in far[["name", "pc1", "pc2"]].itertuples(index=False):
            _name(axes, name, x, y, INK)
    axes.plot(default["pc1"], default["pc2"], "D", color=ACCENT, markersize=10, zorder=5)
    _name(axes, DEFAULT, default["pc1"], default["pc2"], ACCENT, below=True)
    _arrow(axes, roles, summary)
    axes.margins(0.12)
    axes.grid(color=GRID, linewidth=0.7)
    share = summary["pca"]["variance_share"]
    axes.set_xlabel(f"PC1, {100 * share[0]:.0f} % of the variance", fontsize=SMALL, color=MUTED)
    axes.set_ylabel(f"PC2, {100 * share[1]:.0f} %", fontsize=SMALL, color=MUTED)
    return figure


def projections(summary: Json) -> Figure:
    """One row a role, sorted: where it lies on the axis, with its interval over questions.

    Of many roles the ends are shown. The line is the default's place.
    """
    roles = sorted(summary["roles"], key=lambda one: -one["projection"]["estimate"])
    shown = roles if len(roles) <= 2 * ENDS else [*roles[:ENDS], *roles[-ENDS:]]
    figure, axes, rows = drawing.row_axes([one["name"] for one in shown], right=1.0, top=0.45)
    own = summary["default"]["projection"]
    values = [v for one in (*shown, summary["default"]) for v in _ends(one["projection"])]
    drawing.set_limits(axes, values, 0.5)
    for one, row in zip(shown, rows, strict=True):
        found = one["projection"]
        low, high = min(_ends(found)), max(_ends(found))
        axes.plot([low, high], [row, row], color=POOL, linewidth=2.2, solid_capstyle="round", zorder=3)
        axes.plot(found["estimate"], row, "o", color=WARM, markersize=5.5, zorder=4)
        if one.get("group"):
            drawing.beside(axes, clean(one["group"]), row, side="right")
    drawing.rule(axes, own["estimate"], DEFAULT, ACCENT)
    axes.axvspan(min(_ends(own)), max(_ends(own)), color=ACCENT, alpha=0.15, linewidth=0)
    axes.set_xlabel(
        "place on the axis, in SDs of the roles from their mean", fontsize=SMALL, color=MUTED
    )
    return figure


def by_layer(summary: Json) -> Figure:
    """Above: how surely the axis sets the default apart on questions that it was not made of, by layer,
    with intervals. Below: the distance from the mean role in SDs of the roles."""
    from matplotlib.ticker import MaxNLocator

    layers = summary["layers"]
    figure = drawing.new_figure(4.6)
    upper = drawing.add_axes(figure, left=0.75, right=0.3, top=0.35, bottom=2.55)
    lower = drawing.add_axes(figure, left=0.75, right=0.3, top=2.75, bottom=0.55)
    places = np.arange(len(layers))
    held = [one["separation"] for one in layers]
    known = [k for k in places if held[k]["estimate"] is not None]
    for k in known:
        ends = [100 * held[k]["low"], 100 * held[k]["high"]]
        upper.plot([k, k], ends, color=ACCENT, linewidth=2.2, alpha=0.6)
    upper.plot(known, [100 * held[k]["estimate"] for k in known], "o-", color=ACCENT, linewidth=1.2)
    upper.axhline(50, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    upper.set_ylim(0, 103)
    drawing.panel(upper, "assistant above the role on held-out questions, %", empty=not known)
    lower.plot(places, [one["distance"] for one in layers], "s-", color=WARM, linewidth=1.2)
    lower.set_ylim(0, 1.15 * max(one["distance"] for one in layers))
    drawing.panel(lower, "distance from the mean role, SDs of the roles", empty=False)
    for axes in (upper, lower):
        axes.axvline(summary["layer"], color=GRID, linewidth=6, zorder=0)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    lower.set_xlabel("layer, counted from the first block", fontsize=SMALL, color=MUTED)
    return figure


def components(summary: Json) -> Figure:
    """Bars: how much of the roles' variance each component holds. Dots: its cosine with the axis."""
    found = summary["pca"]
    share, cosines = 100 * np.array(found["variance_share"]), np.abs(found["axis_cosine"])
    figure = drawing.new_figure(2.7)
    axes = drawing.add_axes(figure, left=0.75, right=0.75, top=0.35, bottom=0.55)
    places = np.arange(1, len(share) + 1)
    axes.bar(places, share, color=POOL, width=0.6, alpha=0.7)
    axes.set_xticks(places, [f"PC{k}" for k in places])
    drawing.panel(axes, "bars: share of the roles' variance, %", empty=False)
    other = axes.twinx()
    other.plot(places, cosines, "D", color=ACCENT, markersize=6)
    other.set_ylim(0, 1.02)
    other.tick_params(labelsize=SMALL, labelcolor=ACCENT, length=0)
    for side in ("top", "right", "left", "bottom"):
        other.spines[side].set_visible(False)
    other.set_title("dots: cosine with the axis", loc="right", fontsize=SIZE, color=ACCENT, pad=8)
    return figure


def _name(axes: Axes, text: str, x: float, y: float, color: str, below: bool = False) -> None:
    axes.annotate(
        shorten(clean(text), 28), (x, y), xytext=(0, -9 if below else 8), textcoords="offset points",
        ha="center", va="top" if below else "bottom", fontsize=SMALL, color=color, parse_math=False,
        annotation_clip=False, zorder=6,
    )  # fmt: skip


def _arrow(axes: Axes, roles: pd.DataFrame, summary: Json) -> None:
    """The axis's shadow on the plane, from the middle of the roles, scaled to the cloud."""
    direction = np.array(summary["pca"]["axis_cosine"][:2])
    reach = 0.6 * max(np.abs(roles["pc1"]).max(), np.abs(roles["pc2"]).max())
    axes.annotate(
        "", tuple(reach * direction), (0, 0),
        arrowprops={"arrowstyle": "->", "color": ACCENT, "linewidth": 1.6}, zorder=4,
    )  # fmt: skip


def _ends(found: Json) -> list[float]:
    """Ends of an interval, or the estimate where it has none."""
    return [found[end] if found[end] is not None else found["estimate"] for end in ("low", "high")]
