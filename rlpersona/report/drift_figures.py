"""Figures of a measurement of drift, for its page and the notebooks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.report import drawing
from rlpersona.report.drawing import ACCENT, CARD, GRID, INK, MUTED, POOL, SIZE, SMALL, WARM
from rlpersona.report.drift_records import SPOKEN, TEXTS, DriftRun, Json, factors_label
from rlpersona.report.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Training = tuple[str, str]
WIDE, GAP, TOP, BOTTOM = 3.0, 0.55, 0.35, 0.6  # inches: a panel, room between two, margins
FEW = 6  # trainings of which each gets a name in a figure
WORDY = 6  # columns of a map up to which its numbers are written out


def over_steps(run: DriftRun) -> Figure | None:
    """Movement of the default along the base's axis by step, on either kind of text: a line a training,
    its interval as bars; the band is the movement of the main training along random directions."""
    names = 1 < len(run.trainings()) <= FEW
    figure, grid = _two(3.3, BOTTOM + 0.45) if names else _two(2.9)
    for axes, text in zip(grid, TEXTS, strict=True):
        main = run.of(run.main(), text)
        steps = [0, *(one["step"] for one in main)]
        band = [(0.0, 0.0), *((one["control"]["personas"][e] for e in ("low", "high")) for one in main)]
        low, high = zip(*(tuple(ends) for ends in band), strict=True)
        axes.fill_between(steps, low, high, color=MUTED, alpha=0.14, linewidth=0)
        for training in run.trainings():
            _line(axes, run, training, text)
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        _title(axes, SPOKEN[text])
        axes.set_xlabel("step", fontsize=SMALL, color=MUTED)
    grid[0].set_ylabel("SD of the base's roles", fontsize=SMALL, color=MUTED)
    _same_heights(grid)
    if names:
        _legend(figure, grid[0])
    return figure


def rotations(run: DriftRun) -> Figure | None:
    """Cosine between the base's axis and each checkpoint's own, beside what noise alone would leave."""
    main = {text: [one for one in run.of(run.main(), text) if one["rotation"]] for text in TEXTS}
    if not any(main.values()):
        return None
    figure, grid = _two(2.6)
    layer = run.summary["layer"]
    for axes, text in zip(grid, TEXTS, strict=True):
        points = main[text]
        steps = [one["step"] for one in points]
        expected = [one["by_layer"][layer]["expected"] for one in points]
        if all(value is not None for value in expected):
            dashes: dict[str, Any] = {"linestyle": (0, (4, 3)), "marker": "_", "markersize": 12}
            axes.plot(steps, expected, color=MUTED, linewidth=1.3, **dashes)
        corrected = [one["by_layer"][layer]["corrected"] for one in points]
        if all(value is not None for value in corrected):
            shape = {**drawing.OPEN, "marker": "D", "markersize": 5}
            axes.plot(steps, corrected, color=WARM, linestyle="none", **shape)
        _bars(axes, steps, [one["rotation"] for one in points], ACCENT, "o")
        axes.set_xlim(left=0, right=1.08 * max(steps, default=1))
        _title(axes, SPOKEN[text])
        axes.set_xlabel("step", fontsize=SMALL, color=MUTED)
    grid[0].set_ylabel("cosine", fontsize=SMALL, color=MUTED)
    _same_heights(grid)
    return figure


def layer_map(run: DriftRun, measure: str = "default") -> Figure | None:
    """Rows are layers, columns checkpoints of the main training: a measure of `by_layer`, blue towards
    the assistant and orange away from it (for `cka`, orange the further from 1)."""
    points = {text: run.of(run.main(), text) for text in TEXTS}
    layers = run.summary["layers"]
    figure, grid = _two(0.22 * max(layers, 5) + TOP + BOTTOM)
    values = [
        (value - 1 if measure == "cka" else value)
        for text in TEXTS
        for one in points[text]
        for row in one["by_layer"]
        if (value := row[measure]) is not None
    ]
    most = max((abs(value) for value in values), default=0.0)
    most = max(most, 0.2 if measure == "cka" else 0.05)  # what is next to nothing stays pale
    for axes, text in zip(grid, TEXTS, strict=True):
        steps = [one["step"] for one in points[text]]
        for column, one in enumerate(points[text]):
            for row in one["by_layer"]:
                _tile(axes, column, row["layer"], row[measure], most, measure)
                if len(steps) <= WORDY and row[measure] is not None:
                    _number(axes, column, row["layer"], row[measure], measure)
        axes.set_xlim(0, len(steps))
        axes.set_ylim(-0.02, layers + 0.02)
        shown = range(0, len(steps), max(1, len(steps) // 6))
        axes.set_xticks([place + 0.5 for place in shown], [str(steps[place]) for place in shown])
        every = range(0, layers, max(1, layers // 8))
        axes.set_yticks([place + 0.5 for place in every], [str(place) for place in every])
        axes.grid(visible=False)
        axes.axhline(run.summary["layer"] + 0.5, color=INK, linewidth=0.8, linestyle=(0, (1, 3)))
        _title(axes, SPOKEN[text])
        axes.set_xlabel("step", fontsize=SMALL, color=MUTED)
    grid[0].set_ylabel("layer", fontsize=SMALL, color=MUTED)
    return figure


def trajectory(run: DriftRun) -> Figure | None:
    """The base's roles on the first two principal components, and the path of the default over steps."""
    figure, grid = _two(3.4)
    for axes, text in zip(grid, TEXTS, strict=True):
        table = run.places_of(run.main(), text)
        if "pc2" not in table:
            return None
        first = table[table["step"] == table["step"].min()]
        roles = first[first["role"] != "default"]
        axes.plot(
            roles["base_pc1"], roles["base_pc2"], "o", color=POOL, markersize=3.6, markeredgewidth=0
        )
        path = table[table["role"] == "default"]
        at = np.array([[path["base_pc1"].iloc[0], path["base_pc2"].iloc[0]]])
        at = np.concatenate([at, path[["pc1", "pc2"]].to_numpy()])
        axes.plot(at[:, 0], at[:, 1], "-", color=ACCENT, linewidth=1.6, zorder=4)
        axes.plot(*at[0], color=ACCENT, **drawing.OPEN)
        axes.plot(*at[-1], "o", color=ACCENT, markersize=7, zorder=5)
        _title(axes, SPOKEN[text])
        axes.set_xlabel(_component(run, 0), fontsize=SMALL, color=MUTED)
    grid[0].set_ylabel(_component(run, 1), fontsize=SMALL, color=MUTED)
    return figure


def before_and_after(run: DriftRun, text: str = "own") -> Figure | None:
    """Every role on the first two principal components of the base, with an arrow from before to after
    the main training."""
    table = run.places_of(run.main(), text)
    if "pc2" not in table:
        return None
    last = table[table["step"] == table["step"].max()]
    figure = drawing.new_figure(4.2)
    axes = drawing.add_axes(figure, left=0.75, right=0.3, top=TOP, bottom=BOTTOM)
    for row in last.to_dict("records"):
        color = ACCENT if row["role"] == "default" else POOL
        start, end = (row["base_pc1"], row["base_pc2"]), (row["pc1"], row["pc2"])
        axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.1})
        axes.plot(*start, color=color, **{**drawing.OPEN, "markersize": 4.5, "markeredgewidth": 1.1})
        axes.plot(*end, "o", color=color, markersize=3.5, markeredgewidth=0)
    axes.grid(color=GRID, linewidth=0.7)
    _title(axes, f"roles before and after, {SPOKEN[text]}")
    axes.set_xlabel(_component(run, 0), fontsize=SMALL, color=MUTED)
    axes.set_ylabel(_component(run, 1), fontsize=SMALL, color=MUTED)
    return figure


def roles_moved(run: DriftRun, text: str = "own", most: int = 20) -> Figure | None:
    """A row a role: where it lies along the axis before (open) and after (full); the `most` moved."""
    table = run.places_of(run.main(), text)
    last = table[table["step"] == table["step"].max()].copy()
    if last.empty:
        return None
    last["moved"] = last["projection"] - last["base_projection"]
    kept = last.loc[
        last["moved"].abs().nlargest(most).index.union(last.index[last["role"] == "default"])
    ]
    kept = kept.sort_values("base_projection", ascending=False)
    figure, axes, places = drawing.row_axes(list(kept["role"]), right=0.8, top=0.3)
    for row, place in zip(kept.to_dict("records"), places, strict=True):
        color = ACCENT if row["role"] == "default" else INK
        ends = row["base_projection"], row["projection"]
        axes.plot(ends, [place, place], color=GRID, linewidth=2)
        axes.plot(ends[0], place, color=color, **{**drawing.OPEN, "markersize": 5.5})
        axes.plot(ends[1], place, "o", color=color, markersize=5.5, zorder=6)
        drawing.beside(axes, f"{row['moved']:+.2f}", place, side="right")
    drawing.rule(axes, 0, "the base's default", MUTED)
    axes.set_xlabel("along the axis of the base, SD of its roles", fontsize=SMALL, color=MUTED)
    return figure


def traits(run: DriftRun) -> Figure | None:
    """A row a trait: movement of the default at the last step, on either kind of text."""
    last = {text: run.of(run.main(), text)[-1] for text in TEXTS}
    names = list(last["own"]["traits"])
    if not names:
        return None
    rows: list[tuple[str, Json, Json]] = [("the axis", *(last[t]["default"]["frozen"] for t in TEXTS))]
    rows += [(name, *(last[text]["traits"][name] for text in TEXTS)) for name in names]
    figure, axes, places = drawing.row_axes([name for name, *_ in rows], right=0.4, top=0.3)
    for (_, base, own), place in zip(rows, places, strict=True):
        for told, shift, color, marker in ((own, -0.28, ACCENT, "o"), (base, 0.28, WARM, "D")):
            if told["low"] is not None:
                ends = [told["low"], told["high"]]
                axes.plot(ends, [place + shift] * 2, color=color, linewidth=2, zorder=3)
            axes.plot(told["estimate"], place + shift, marker, color=color, markersize=5, zorder=4)
    drawing.rule(axes, 0, "as the base", MUTED)
    axes.set_xlabel(
        "movement, SD of the base's roles along each direction (blue: own answers, orange: the base's)",
        fontsize=SMALL,
        color=MUTED,
    )
    return figure


def sweep(run: DriftRun, text: str = "own") -> Figure | None:
    """A row a cell of the sweep: mean movement of its trainings with its interval over seeds."""
    rows = [one for one in run.summary["groups"] if one["text"] == text and one["estimate"] is not None]
    if not rows:
        return None
    figure, axes, places = drawing.row_axes([factors_label(one) for one in rows], right=1.2, top=0.3)
    for one, place in zip(rows, places, strict=True):
        random = one["control"] == "random-reward"
        color, marker = (WARM, "D") if random else (ACCENT, "o")
        if one["low"] is not None:
            axes.plot([one["low"], one["high"]], [place] * 2, color=color, linewidth=2.2, zorder=3)
        axes.plot(one["estimate"], place, marker, color=color, markersize=6.5, zorder=4)
        count = f"{one['trainings']} trainings" if one["trainings"] > 1 else "1 training"
        drawing.beside(axes, count, place, side="right")
    drawing.rule(axes, 0, "as the base", MUTED)
    axes.set_xlabel(f"movement at the last step {SPOKEN[text]}, SD", fontsize=SMALL, color=MUTED)
    return figure


def with_reward(run: DriftRun) -> Figure | None:
    """Movement of the default against the reward since the checkpoint before, a line a training."""
    from matplotlib.ticker import AutoLocator

    figure, grid = _two(2.7)
    drawn = False
    for axes, text in zip(grid, TEXTS, strict=True):
        for one in run.summary["correlations"]:
            if one["text"] != text or one["reward"] != "total":
                continue
            training = (one["run"], one["condition"])
            rewards = {point["step"]: point["reward"] for point in one["points"]}
            moved = {p["step"]: p["default"]["frozen"]["estimate"] for p in run.of(training, text)}
            steps = sorted(rewards.keys() & moved.keys())
            axes.plot(
                [rewards[s] for s in steps],
                [moved[s] for s in steps],
                "o-",
                color=WARM if run.is_random(training) else ACCENT,
                linewidth=1,
                markersize=3.5,
                alpha=0.8,
            )
            drawn = True
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        _title(axes, SPOKEN[text])
        axes.set_xlabel("reward", fontsize=SMALL, color=MUTED)
        axes.xaxis.set_major_locator(AutoLocator())
    grid[0].set_ylabel("movement, SD of roles", fontsize=SMALL, color=MUTED)
    return figure if drawn else None


def _line(axes: Axes, run: DriftRun, training: Training, text: str) -> None:
    points = run.of(training, text)
    main = training == run.main()
    random = run.is_random(training)
    color = WARM if random else ACCENT if main else POOL
    told = [one["default"]["frozen"] for one in points]
    steps = [one["step"] for one in points]
    _bars(axes, steps, told, color, "D" if random else "o", label=run.label(training), faint=not main)


def _bars(
    axes: Axes,
    steps: Sequence[int],
    told: Sequence[Json],
    color: str,
    marker: str,
    *,
    label: str = "",
    faint: bool = False,
) -> None:
    """Estimates by step, joined, with their intervals."""
    alpha = 0.6 if faint else 1.0
    axes.plot(
        steps, [one["estimate"] for one in told], f"{marker}-", color=color, alpha=alpha, zorder=4,
        linewidth=1.2 if faint else 1.8, markersize=3 if faint else 5, markeredgewidth=0,
        label=clean(label),
    )  # fmt: skip
    if not faint:
        for step, one in zip(steps, told, strict=True):
            if one["low"] is not None:
                axes.plot([step, step], [one["low"], one["high"]], color=color, linewidth=1.4, zorder=3)


def _tile(axes: Axes, column: int, layer: int, value: float | None, most: float, measure: str) -> None:
    from matplotlib.patches import Rectangle

    box = (column + 0.03, layer + 0.04)
    axes.add_patch(Rectangle(box, 0.94, 0.92, facecolor=CARD, edgecolor=GRID, linewidth=0.5))
    if value is None:
        return
    shown = value - 1 if measure == "cka" else value
    color = ACCENT if shown > 0 else WARM
    strength = 0.9 * min(1.0, abs(shown) / most)
    axes.add_patch(Rectangle(box, 0.94, 0.92, facecolor=color, alpha=strength, linewidth=0))


def _number(axes: Axes, column: int, layer: int, value: float, measure: str) -> None:
    text = f"{value:.3f}" if measure == "cka" else f"{value:+.2f}"
    axes.text(column + 0.5, layer + 0.5, text, ha="center", va="center", fontsize=SMALL - 1, color=INK)


def _component(run: DriftRun, number: int) -> str:
    shares = run.summary["variance_share"]
    share = f" ({100 * shares[number]:.0f} % of the roles' variance)" if number < len(shares) else ""
    return f"PC{number + 1}{share}"


def _two(height: float, bottom: float = BOTTOM) -> tuple[Figure, list[Axes]]:
    """Two panels beside each other."""
    from matplotlib.ticker import MaxNLocator

    figure = drawing.new_figure(height)
    axes = []
    for place in range(2):
        left = 0.75 + place * (WIDE + GAP)
        axes.append(
            drawing.add_axes(
                figure, left=left, right=drawing.WIDTH - left - WIDE, top=TOP, bottom=bottom
            )
        )
        axes[-1].grid(axis="y", color=GRID, linewidth=0.7)
        axes[-1].xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    return figure, axes


def _same_heights(grid: Sequence[Axes]) -> None:
    ends = list(itertools.chain.from_iterable(axes.get_ylim() for axes in grid))
    for axes in grid:
        axes.set_ylim(min(ends), max(ends))


def _legend(figure: Figure, axes: Axes) -> None:
    lines, labels = axes.get_legend_handles_labels()
    box = figure.legend(
        lines, labels, loc="lower center", ncols=min(3, len(labels)), frameon=False, fontsize=SMALL,
        labelcolor=MUTED,
    )  # fmt: skip
    for text in box.get_texts():
        text.set_parse_math(False)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(clean(text), loc="left", fontsize=SIZE, color=INK, pad=6, parse_math=False)


def figures_of(run: DriftRun) -> dict[str, tuple[Any, str]]:
    """Every figure that the run has, by name, with what is read aloud in its place."""
    drawn = {
        "steps": (over_steps(run), "Movement along the Assistant Axis by step, with intervals"),
        "rotation": (rotations(run), "Cosine between the base's axis and that of each checkpoint"),
        "layers": (layer_map(run), "Movement along the axis by layer and checkpoint"),
        "likeness": (layer_map(run, "cka"), "Likeness to the base (CKA) by layer and checkpoint"),
        "trajectory": (trajectory(run), "Path of the default among the roles, first two components"),
        "arrows": (before_and_after(run), "Roles before and after on two principal components"),
        "roles": (roles_moved(run), "Place of each role along the axis before and after"),
        "traits": (traits(run), "Movement of the default along each trait, with intervals"),
        "sweep": (sweep(run), "Movement by condition of the sweep, with intervals over seeds"),
        "reward": (with_reward(run), "Movement against the reward"),
    }
    return {name: (figure, told) for name, (figure, told) in drawn.items() if figure is not None}
