"""A finished measurement of drift as its page, table and notebooks read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.errors import RunError
from rlpersona.store import CONFIG, PROVENANCE, SUMMARY, Run

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]
DRIFT, PLACES = "drift.parquet", "places.parquet"
TEXTS = ("base", "own")
SPOKEN = {"base": "on the base's answers", "own": "on its own answers"}
SHORT = {"base": "the base's", "own": "its own"}
RANDOM = "random-reward"
BASE = "base"


@dataclass(frozen=True)
class DriftRun:
    """`summary` is `summary.json`; `places` has a row for each checkpoint, text and role."""

    name: str
    folder: Path
    summary: Json
    places: pd.DataFrame
    config: str
    provenance: Json

    def cells(self) -> pd.DataFrame:
        """`drift.parquet`: a row for each checkpoint, text, layer, direction, axis, role, question."""
        import pandas as pd

        return pd.read_parquet(self.folder / DRIFT)

    def trainings(self) -> list[tuple[str, str]]:
        """(run, condition) of each training that was measured, in order."""
        found = [(one["run"], one["condition"]) for one in self.summary["checkpoints"] if one["step"]]
        return list(dict.fromkeys(found))

    def of(self, training: tuple[str, str], text: str) -> list[Json]:
        """Its checkpoints on one kind of text, by step; the base is not among them."""
        mine = [
            one
            for one in self.summary["checkpoints"]
            if (one["run"], one["condition"]) == training and one["text"] == text
        ]
        return sorted(mine, key=lambda one: int(one["step"]))

    def main(self) -> tuple[str, str]:
        """The training of the page's single figures: the one that moved furthest on its own answers."""

        def reach(training: tuple[str, str]) -> float:
            return abs(float(self.of(training, "own")[-1]["default"]["frozen"]["estimate"] or 0))

        own = [one for one in self.trainings() if one[0] == self.summary["of"]]
        return max(own or self.trainings(), key=reach)

    def places_of(self, training: tuple[str, str], text: str) -> pd.DataFrame:
        """Rows of one training on one kind of text."""
        table = self.places
        mine = (table["run"] == training[0]) & (table["condition"] == training[1])
        found: pd.DataFrame = table[mine & (table["text"] == text)].sort_values("step")
        return found

    def label(self, training: tuple[str, str]) -> str:
        """What a training is called: a sweep's condition by its factors, another by its name."""
        return label_of(self.summary, training)

    def is_random(self, training: tuple[str, str]) -> bool:
        """Whether it was trained under random reward."""
        return any(
            cell["control"] == RANDOM and cell["bias_weight"]
            for one in self.summary["conditions"]
            if (one["run"], one["condition"]) == training
            for cell in one["factors"]
        )


def label_of(summary: Json, training: tuple[str, str]) -> str:
    """What a training is called: a sweep's condition by its factors, one of a control with its run."""
    run, name = training
    for one in summary["conditions"]:
        if (one["run"], one["condition"]) == training and one["factors"]:
            name = factors_label(one["factors"][0])
    return name if run == summary["of"] or name == run else f"{run}: {name}"


def factors_label(factors: Mapping[str, Any]) -> str:
    """`length 0.3, seed 1`, with control and scaling where they are not the plain ones."""
    words = [f"{factors['bias']} {factors['bias_weight']:g}"]
    words += [factors["control"]] if factors["control"] != "none" else []
    words += [f"scaled by {factors['scaling']}"] if factors["scaling"] != "none" else []
    words += [f"seed {factors['seed']}"] if "seed" in factors else []
    return ", ".join(words)


def read_drift_run(folder: Path) -> DriftRun:
    """Read a finished measurement; RunError where it is another run, or a file is missing or broken."""
    import pandas as pd

    run = Run(folder)
    summary = run.read_json(SUMMARY)
    if summary.get("experiment") != "drift":
        raise RunError(
            f"Run '{run.name}' is a {summary.get('experiment')}, no measurement of drift.",
            f"Measure it: rlpersona axis drift {run.name}",
        )
    try:
        places = pd.read_parquet(folder / PLACES)
        provenance = (
            json.loads((folder / PROVENANCE).read_text()) if (folder / PROVENANCE).exists() else {}
        )
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder} cannot be read: {type(error).__name__}: {error}",
            f"Measure again under a new name: rlpersona axis drift {summary['of']} name=...",
        ) from error
    config = folder / CONFIG
    return DriftRun(
        run.name,
        folder,
        summary,
        places,
        config.read_text(encoding="utf-8") if config.exists() else "",
        provenance,
    )
