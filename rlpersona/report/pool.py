"""How the policy's probability is spread over kinds of personas, beside their share of the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlpersona.report.words import clean

if TYPE_CHECKING:
    import pandas as pd

KINDS = ("group", "field", "era")
UNKNOWN = "not given"


@dataclass(frozen=True, slots=True)
class Kind:
    """The personas of one group, field or era.

    `share` is their share of the pool, that is of the uniform policy; `mass` their share of the
    final policy (None where no probabilities were kept); `reward` their mean training reward over
    all evaluations (None where nothing was scored).
    """

    label: str
    personas: int
    share: float
    mass: float | None
    evaluations: int
    reward: float | None


def kinds_of(personas: pd.DataFrame, limit: int = 2) -> list[str]:
    """The columns worth showing: of `KINDS`, the first `limit` that tell personas apart."""
    return [
        kind
        for kind in KINDS
        if personas[kind].nunique(dropna=False) >= 2 and personas[kind].notna().any()
    ][:limit]


def composition(personas: pd.DataFrame, by: str, limit: int = 12) -> list[Kind]:
    """The pool split by the column `by`, greatest policy mass first (share of the pool where there
    is no mass). Beyond `limit` kinds the smallest become one, so that the shares still sum to 1."""
    table = personas.assign(
        label=[clean(str(value)) for value in personas[by].fillna(UNKNOWN)],
        weighted=personas["reward"].fillna(0) * personas["evaluations"],
        scored=personas["evaluations"].where(personas["reward"].notna(), 0),
    )
    measured = bool(personas["probability"].notna().any())
    sums = table.groupby("label", sort=True)[["probability", "evaluations", "weighted", "scored"]].sum()
    sums["personas"] = table.groupby("label", sort=True).size()
    order = ["probability", "personas"] if measured else ["personas"]
    sums = sums.sort_values(order, ascending=False, kind="stable")
    if len(sums) > limit:
        rest = sums.iloc[limit - 1 :]
        sums = sums.iloc[: limit - 1].copy()
        sums.loc[f"{len(rest)} others together"] = rest.sum()
    return [
        Kind(
            label=str(label),
            personas=int(row["personas"]),
            share=float(row["personas"]) / len(personas),
            mass=float(row["probability"]) if measured else None,
            evaluations=int(row["evaluations"]),
            reward=float(row["weighted"] / row["scored"]) if row["scored"] else None,
        )
        for label, row in sums.iterrows()
    ]
