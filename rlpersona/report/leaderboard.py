"""Who leads in training, and how far the best of equal personas would seem to lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlpersona.report import drawing
from rlpersona.report.drawing import ACCENT, MUTED, WARM
from rlpersona.report.pool import KINDS
from rlpersona.report.records import Measured
from rlpersona.report.words import count, percent

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TOP = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """A persona at the end of the search.

    `mean` is its training reward with interval (`n` evaluations), `shrunk` the same pulled towards its
    peers by as much as its evaluations leave open. `wins`, `losses` and `ties` compare it with the
    other personas of its rounds, question by question. None where nothing was measured.
    """

    persona: str
    kinds: dict[str, str]
    mean: Measured
    shrunk: float | None
    probability: float | None
    wins: int | None
    losses: int | None
    ties: int | None


def standings(personas: pd.DataFrame, limit: int = TOP) -> list[Standing]:
    """The policy's best personas of the table `personas.parquet`: most probable first, then by reward.
    Personas that were never asked are left out."""
    asked = personas[personas["evaluations"] > 0]
    optional = ("low", "high", "shrunk", "wins", "losses", "ties")
    table = asked.reindex(columns=[*asked.columns, *(name for name in optional if name not in asked)])
    top = table.sort_values(["probability", "reward"], ascending=False, kind="stable").head(limit)
    return [_standing(row) for row in top.to_dict("records")]


def training_mean(personas: pd.DataFrame) -> float | None:
    """Mean reward of all scored evaluations of the search; None if there are none.

    Weighted by evaluations: where all personas are equal this is their true mean however the policy
    spent its budget, while the mean of their means leans towards those it dropped after bad luck.
    """
    scored = personas[personas["reward"].notna() & (personas["evaluations"] > 0)]
    total = float(scored["evaluations"].sum())
    return float((scored["reward"] * scored["evaluations"]).sum()) / total if total else None


def leaderboard(rows: Sequence[Standing], mean: float | None, null_maximum: float | None) -> Figure:
    """One row a persona: filled circle its training reward with interval, open circle the shrunken
    estimate. Lines: the mean of the whole search, and dashed how far above it the best of equal
    personas would come by luck."""
    level = 0.45 if null_maximum is None else 0.65
    figure, axes, heights = drawing.row_axes([row.persona for row in rows], right=1.55, top=level)
    line = None if mean is None or null_maximum is None else min(1.0, mean + null_maximum)
    ends = [mean, line]
    ends += [end for row in rows for end in (row.mean.estimate, row.mean.low, row.mean.high, row.shrunk)]
    drawing.set_limits(axes, [100 * end for end in ends if end is not None] or [0.0, 100.0], least=10.0)
    if mean is not None:
        drawing.rule(axes, 100 * mean, f"mean of the search {percent(mean)}", MUTED)
    if line is not None:
        label = f"best of equal personas by luck alone {percent(line)}"
        drawing.rule(axes, 100 * line, label, WARM, level=1, dashed=True)
    for row, height in zip(rows, heights, strict=True):
        drawing.interval(axes, row.mean, height, ACCENT, "o")
        if row.shrunk is not None:
            axes.plot(100 * row.shrunk, height, color=WARM, label="shrunken", **drawing.OPEN)
        shrunk = "" if row.shrunk is None else f" → {percent(row.shrunk)}"
        text = f"{percent(row.mean.estimate)}{shrunk}"
        drawing.beside(axes, text, height, side="right")
    open_too = any(row.shrunk is not None for row in rows)
    label = "reward in training (filled), shrunken estimate (open)" if open_too else "reward in training"
    drawing.percent_axis(axes, label)
    return figure


def tally(row: Standing) -> str:
    """`120 / 30 / 290`: won, lost and tied."""
    return " / ".join(count(one) for one in (row.wins, row.losses, row.ties))


def _standing(row: dict[Any, Any]) -> Standing:
    return Standing(
        persona=str(row["name"]),
        kinds={kind: str(row[kind]) for kind in KINDS if _known(row[kind]) is not None},
        mean=Measured(
            estimate=_known(row["reward"]),
            low=_known(row["low"]),
            high=_known(row["high"]),
            n=int(row["evaluations"]),
        ),
        shrunk=_known(row["shrunk"]),
        probability=_known(row["probability"]),
        wins=_whole(row["wins"]),
        losses=_whole(row["losses"]),
        ties=_whole(row["ties"]),
    )


def _known(value: Any) -> Any:
    """The value, None if it is missing in any of the ways in which a table misses one."""
    import pandas as pd

    return None if pd.isna(value) else value


def _whole(value: Any) -> int | None:
    return None if _known(value) is None else int(value)
