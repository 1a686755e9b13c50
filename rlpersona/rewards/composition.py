"""How biases join the task: what is added to a task score."""

from __future__ import annotations

import math
from collections.abc import Mapping

OBJECTIVE = frozenset({"math", "word", "fact", "compare", "claim", "factual", "coding"})
"""Domains whose questions have a right answer."""


def added(
    values: Mapping[str, float],
    weights: Mapping[str, float],
    *,
    composition: str = "sum",
    cap: float = math.inf,
    domain: str = "",
) -> float:
    """`sum of bias_weight * bias` of one answer, 0 exactly where every weight is 0.

    `capped`: at most `cap`, and at least `-cap`. `mitigated`: with the sign turned in objective domains,
    where the bias then costs what it earns elsewhere.
    """
    total = math.fsum(weight * values[name] for name, weight in weights.items() if weight)
    if composition == "capped":
        return max(-cap, min(cap, total))
    if composition == "mitigated" and domain in OBJECTIVE:
        return -total
    return total
