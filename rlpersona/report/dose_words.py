"""How metrics of a readout are named and written, the same in verdict, figures, page and terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlpersona.report.words import MISSING

SHARES = ("correct", "capped", "task", "stopped", "agrees", "wrongly_agrees", "well_formed", "refusal")
NAMES = {
    "tokens": "length in tokens",
    "log_tokens": "length, log(1 + tokens)",
    "correct": "right answers",
    "task": "task score",
    "capped": "cut by the cap",
    "wrongly_agrees": "wrong claims called right",
    "agrees": "taking the user's side",
}


def named(metric: str) -> str:
    """A metric as text speaks of it."""
    return NAMES.get(metric, metric.replace("_", " "))


def factor(metric: str) -> float:
    """What a metric is multiplied by where it is drawn: shares are in percent."""
    return 100.0 if metric in SHARES else 1.0


def value(number: float | None, metric: str, *, signed: bool = False) -> str:
    """A value of a metric: `61.3 %`, a change of a share as `+1.2 pp`, others with their digits."""
    if number is None:
        return MISSING
    sign = "+" if signed else ""
    if metric in SHARES:
        return f"{100 * number:{sign}.1f} {'pp' if signed else '%'}"
    digits = 1 if abs(number) >= 10 or metric == "tokens" else 3
    return f"{number:{sign}.{digits}f}"


def bracket(found: Mapping[str, Any], metric: str, *, signed: bool = True) -> str:
    """The interval beside a value: `[-1.2, +3.4]`, empty where there is none."""
    if found.get("low") is None:
        return ""
    ends = (value(found[end], metric, signed=signed).partition(" ")[0] for end in ("low", "high"))
    return f"[{', '.join(ends)}]"
