"""The figures of a bandit run. Each function draws one matplotlib `Figure`; `drawing.svg` writes it.

Axes are in percent or percentage points, as in the text around them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rlpersona.report import drawing
from rlpersona.report.drawing import ACCENT, GRID, INK, MUTED, POOL, SMALL, WARM
from rlpersona.report.pool import Kind
from rlpersona.report.records import Round, Summary
from rlpersona.report.smoothing import LEAST, Floats, block_means, moving_mean
from rlpersona.report.words import MISSING, count, gain_interval, percent, points, share_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_POINTS = 400

_FILLED: dict[str, Any] = {"markersize": 7.5, "zorder": 4, "clip_on": False}
_SMALL: dict[str, Any] = {"marker": "o", "markeredgewidth": 0, "linestyle": "none", "color": POOL}


class RandomGain(NamedTuple):
    """A randomly drawn persona and its mean gain over the control, on the questions both answered."""

    persona: str
    gain: float


def learning_curve(rounds: Sequence[Round], personas: int | None, measure: str = "reward") -> Figure:
    """Reward of each round with a moving mean and, from LEAST rounds on, its 95 % band; below it the
    policy's entropy with ln(personas), the entropy of choosing uniformly. Beyond MAX_POINTS rounds a dot
    is the mean of a block of rounds."""
    from matplotlib.ticker import MaxNLocator

    figure = drawing.new_figure(4.6)
    reward = drawing.add_axes(figure, left=0.75, right=0.3, top=0.3, bottom=2.25)
    entropy = drawing.add_axes(figure, left=0.75, right=0.3, top=2.95, bottom=0.55)
    numbers = block_means(_series(record.round for record in rounds), MAX_POINTS)
    values = block_means(_series(record.reward for record in rounds), MAX_POINTS)
    window = max(LEAST, len(values) // 12) | 1
    smooth = moving_mean(100 * values, window, within=(0.0, 100.0))
    reward.plot(numbers, 100 * values, label="rounds", markersize=2.8, alpha=0.55, **_SMALL)
    reward.fill_between(numbers, smooth.low, smooth.high, color=ACCENT, alpha=0.16, linewidth=0)
    reward.plot(numbers, smooth.mean, color=ACCENT, linewidth=2, label="moving mean")
    reward.grid(axis="y", color=GRID, linewidth=0.7)
    reward.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    drawing.panel(reward, f"mean {measure} in a round", empty=bool(np.isnan(values).all()))
    nats = block_means(_series(record.entropy for record in rounds), MAX_POINTS)
    entropy.plot(numbers, nats, color=ACCENT, linewidth=2, label="entropy")
    if personas:
        uniform = math.log(personas)
        entropy.axhline(uniform, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="uniform")
        entropy.set_ylim(0, max(1.28 * uniform, np.nanmax(nats, initial=0) * 1.05, 0.5))
        _note(entropy, f"uniform over {count(personas)} personas: {uniform:.2f} nats", uniform)
    drawing.panel(entropy, "entropy of the policy, nats", empty=bool(np.isnan(nats).all()))
    entropy.set_xlabel("round", fontsize=SMALL, color=MUTED)
    last = max((record.round for record in rounds), default=1)
    for axes in (reward, entropy):
        axes.set_xlim(min((record.round for record in rounds), default=0) - 0.5, last + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(9, steps=[1, 2, 5, 10], integer=True))
    return figure


def policy_composition(kinds: Sequence[Kind]) -> Figure:
    """One row a kind: open circle its share of the pool, filled circle its share of the policy."""
    figure, axes, rows = drawing.row_axes([kind.label for kind in kinds], right=1.75, top=0.1)
    for kind, row in zip(kinds, rows, strict=True):
        if kind.mass is not None:
            axes.plot([100 * kind.share, 100 * kind.mass], [row, row], color=GRID, linewidth=3, zorder=2)
            axes.plot(100 * kind.mass, row, "o", color=ACCENT, label="policy", **_FILLED)
        axes.plot(100 * kind.share, row, color=POOL, label="pool", **drawing.OPEN)
        drawing.beside(axes, f"{percent(kind.share)} → {percent(kind.mass)}", row, side="right")
    axes.set_xlim(
        0, 108 * max([kind.share for kind in kinds] + [kind.mass or 0 for kind in kinds], default=1)
    )
    drawing.percent_axis(axes, "share of the pool (open) and of the policy (filled)")
    return figure


def validated_gains(summary: Summary, random: Sequence[RandomGain] = ()) -> Figure:
    """One row a winner: its paired gain over the no-persona control on fresh questions, with interval.

    Below them the prefixes that name nobody, where they were measured, and in the last row the
    randomly drawn personas: each a small dot, and the interval of their mean. A band marks the
    margin within which a gain counts for nothing, a dashed line `null_maximum`, the gain that the best
    persona seems to have by luck alone while it is being chosen.
    """
    gains = [(winner.persona, winner.gain, ACCENT, "o") for winner in summary.winners]
    for reference in summary.references:
        if reference.label == "no persona":
            continue
        together = "" if reference.label == "empty name" else ", together"
        marker = "s" if reference.label == "random personas" else "D"
        gains.append((f"{reference.label}{together}", reference.gain, POOL, marker))
    top = 0.45 if summary.null_maximum is None else 0.65
    figure, axes, rows = drawing.row_axes([gain[0] for gain in gains], right=1.95, top=top, tail=0.4)
    ends = [end for _, gain, _, _ in gains for end in (gain.estimate, gain.low, gain.high)]
    ends += [summary.null_maximum, *(dot.gain for dot in random)]
    drawing.set_limits(axes, [0.0, *(100 * end for end in ends if end is not None)], least=4.0)
    if summary.margin is not None:
        margin = 100 * summary.margin
        axes.axvspan(-margin, margin, color=MUTED, alpha=0.1, linewidth=0, zorder=1)
    for (_, gain, color, marker), row in zip(gains, rows, strict=True):
        drawing.interval(axes, gain, row, color, marker)
        text = INK if color == ACCENT else MUTED
        drawing.beside(axes, gain_interval(gain), row, side="right", color=text)
    shift = 0.55 if summary.random_gain.estimate is not None else 0.0
    dots = [100 * dot.gain for dot in random]
    heights = [rows[-1] + shift] * len(dots)
    axes.plot(dots, heights, label="each random persona", markersize=3.6, alpha=0.75, **_SMALL)
    drawing.rule(axes, 0, "no persona", MUTED)
    if summary.null_maximum is not None:
        label = f"best by luck alone, in training: {points(summary.null_maximum)}"
        drawing.rule(axes, 100 * summary.null_maximum, label, WARM, level=1, dashed=True)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
    axes.set_xlabel(
        "gain over no persona on fresh questions, percentage points", fontsize=SMALL, color=MUTED
    )
    return figure


def fresh_accuracies(summary: Summary) -> Figure:
    """One row a winner and a comparison: its accuracy on the same fresh questions, with interval.
    For runs without the no-persona control, over which a gain could be drawn."""
    shown = [(winner.persona, winner.accuracy, ACCENT, "o") for winner in summary.winners]
    shown += [(one.label, one.accuracy, POOL, "s") for one in summary.references]
    figure, axes, rows = drawing.row_axes([one[0] for one in shown], right=1.75, top=0.1)
    ends = [end for _, one, _, _ in shown for end in (one.estimate, one.low, one.high)]
    drawing.set_limits(axes, [100 * end for end in ends if end is not None] or [0.0, 100.0], least=10.0)
    for (_, accuracy, color, marker), row in zip(shown, rows, strict=True):
        drawing.interval(axes, accuracy, row, color, marker)
        drawing.beside(axes, share_interval(accuracy), row, side="right", color=MUTED)
    drawing.percent_axis(axes, "accuracy on fresh questions")
    return figure


def shrinkage(summary: Summary) -> Figure:
    """One row a winner: open circle its accuracy in training, filled circle its accuracy on fresh
    questions with interval; a line with a band is the no-persona control on the same questions.
    Says something only where the search was rewarded with accuracy."""
    figure, axes, rows = drawing.row_axes(
        [winner.persona for winner in summary.winners],
        right=1.55,
        top=0.1 if summary.control.estimate is None else 0.45,
    )
    control = summary.control
    shown = [control, *(winner.accuracy for winner in summary.winners)]
    ends = [end for one in shown for end in (one.estimate, one.low, one.high)]
    ends += [winner.training_reward for winner in summary.winners]
    drawing.set_limits(axes, [100 * end for end in ends if end is not None] or [0.0, 100.0], least=10.0)
    if control.low is not None and control.high is not None:
        axes.axvspan(
            100 * control.low, 100 * control.high, color=MUTED, alpha=0.13, linewidth=0, zorder=1
        )
    if control.estimate is not None:
        drawing.rule(axes, 100 * control.estimate, f"no persona {percent(control.estimate)}", MUTED)
    for winner, row in zip(summary.winners, rows, strict=True):
        before, after = winner.training_reward, winner.accuracy.estimate
        if before is not None and after is not None:
            axes.plot(
                [100 * before, 100 * after], [row, row], color=WARM, linewidth=1.2, alpha=0.6, zorder=2
            )
        drawing.interval(axes, winner.accuracy, row, ACCENT, "o")
        if before is not None:
            axes.plot(100 * before, row, color=WARM, label="training", **drawing.OPEN)
        text = MISSING if before is None and after is None else f"{percent(before)} → {percent(after)}"
        drawing.beside(axes, text, row, side="right", color=INK)
    drawing.percent_axis(axes, "accuracy: in training (open), on fresh questions (filled)")
    return figure


def _note(axes: Axes, text: str, y: float) -> None:
    """A remark at the right end of a horizontal line, just above it."""
    axes.annotate(
        text, (1, y), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
        ha="right", va="bottom", fontsize=SMALL, color=MUTED,
    )  # fmt: skip


def _series(values: Iterable[float | None]) -> Floats:
    """Values as floats, None as NaN."""
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
