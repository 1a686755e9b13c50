"""The arms of a sweep, and the runs of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from rlpersona.errors import DataError

FACTORS = ("bias", "control", "scaling")


@dataclass(frozen=True)
class Arm:
    """The runs of one bias under one control and one scaling of rewards, over its doses.

    `cells` has a row a run: condition, dose, seed. A run of dose 0 may stand in several arms.
    """

    bias: str
    control: str
    scaling: str
    cells: pd.DataFrame

    @property
    def label(self) -> str:
        """`length`, with what it is controlled by and scaled by where that is not the plain case."""
        extras = [] if self.control == "none" else [self.control]
        extras += [] if self.scaling == "none" else [f"scaled by {self.scaling}"]
        return f"{self.bias} ({', '.join(extras)})" if extras else self.bias


def arms_of(conditions: pd.DataFrame) -> list[Arm]:
    """The arms of a table of cells (id, bias, bias_weight, control, scaling, seed, status).

    Cells that are not `done` are left out here; who reports must count them. DataError where no arm has
    runs of two doses.
    """
    done = conditions[conditions["status"] == "done"]
    arms = []
    for (bias, control, scaling), cells in done.groupby(list(FACTORS), sort=False):
        renamed = cells.rename(columns={"id": "condition", "bias_weight": "dose"})
        table = renamed[["condition", "dose", "seed"]].drop_duplicates().reset_index(drop=True)
        if table["dose"].nunique() > 1:
            arms.append(Arm(str(bias), str(control), str(scaling), table))
    if not arms:
        raise DataError(
            f"{len(done)} finished conditions have no two doses of one bias",
            "Give bias_weights at least two values; finish failed conditions with --resume.",
        )
    return arms


def last_step(values: pd.DataFrame, conditions: Sequence[str]) -> int:
    """The last step that all the conditions were read out at (DataError where there is none)."""
    mine = values[values["condition"].isin(list(conditions))]
    common = mine.groupby("step")["condition"].nunique()
    steps = common[common == len(set(conditions))].index
    if not len(steps):
        raise DataError(
            f"{len(set(conditions))} conditions have no step at which all of them were read out",
            "Read them out again: rlpersona evaluate RUN",
        )
    return int(max(steps))


def of_arm(values: pd.DataFrame, arm: Arm, domain: str, step: int) -> pd.DataFrame:
    """The runs of an arm with their metrics in a domain at a step, by seed and dose."""
    here = values[(values["domain"] == domain) & (values["step"] == step)]
    return arm.cells.merge(here, on="condition", how="left").sort_values(["seed", "dose"])
