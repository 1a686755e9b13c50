"""Where a policy went: how much of it each planted group holds, and from which round on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rlpersona.types import Persona

MOST, HALF = 0.9, 0.5


def convergence(
    rounds: Sequence[Mapping[str, Any]], personas: Sequence[Persona]
) -> list[dict[str, Any]]:
    """One record per group, the greatest final share first; none where personas have no groups.

    `pool` is the group's share of the personas, which is what a uniform policy gives it; `final` its
    share of the last round's policy. `half` and `most` are the first round from which on the group
    holds at least .5 and .9 of the policy to the end, None where it never comes to that.

    A policy that converges shows that it prefers a group, not that the group is better: that is for
    the fresh questions to say.
    """
    shares = [(row["round"], row["groups"]) for row in rounds if row.get("groups")]
    if not shares:
        return []
    pool = Counter(persona.group for persona in personas if persona.group is not None)
    last = shares[-1][1]
    return [
        {
            "group": group,
            "pool": pool[group] / len(personas),
            "final": last[group],
            "half": _held(shares, group, HALF),
            "most": _held(shares, group, MOST),
        }
        for group in sorted(last, key=lambda group: (-last[group], group))
    ]


def _held(shares: Sequence[tuple[int, Mapping[str, float]]], group: str, level: float) -> int | None:
    """The first round of the last stretch, up to the end, at or above the level."""
    first = None
    for number, groups in reversed(shares):
        if groups[group] < level:
            break
        first = number
    return first
