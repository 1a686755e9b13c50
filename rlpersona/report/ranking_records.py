"""A ranking of models as typed values: what `summary.json` of a run of staged training holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rlpersona.errors import RunError
from rlpersona.report.records import Measured
from rlpersona.store import CONFIG, PROVENANCE, SUMMARY

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
BASE = "base"
PARTIAL = "evaluation/summary.json"
COLUMNS = {
    "responses.parquet": ("model", "prompt", "question", "sample", "text", "tokens", "finish"),
    "comparisons.parquet": ("a", "b", "question", "sample", "text_a", "text_b", "winner"),
}


class _Record(BaseModel):
    """Base of what is read: unknown keys pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Behaviour(Measured):
    """The mean of a behaviour measure; `unknown` answers are none to which it applies."""

    unknown: int = 0


class ModelRecord(_Record):
    """One model's answers in figures; intervals count prompts."""

    name: str
    answers: int
    empty: int = 0
    unranked: int = 0
    stop: Measured | None = None
    tokens: Measured | None = None
    distinct: Measured | None = None
    rank: Measured | None = None
    likeness: Measured | None = None
    behaviour: dict[str, Behaviour] = Field(default_factory=dict)


class Controlled(_Record):
    """The win rate at equal length; `reason` says why there is none."""

    rate: Measured | None = None
    length: Measured | None = None
    reason: str | None = None


class PairRecord(_Record):
    """Two models: how often the first, the later one, won."""

    first: str
    second: str
    comparisons: int
    unscored: int = 0
    without: int = 0
    prompts: int = 0
    wins: int = 0
    losses: int = 0
    ties: int = 0
    win: Measured | None = None
    controlled: Controlled | None = None
    detectable: float | None = None
    stop: Measured | None = None
    likeness: Measured | None = None


class Strengths(_Record):
    """Bradley-Terry strengths in log-odds, the covariates' terms, and who has none and why."""

    strengths: dict[str, Measured] = Field(default_factory=dict)
    covariates: dict[str, Measured] = Field(default_factory=dict)
    left_out: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Place(_Record):
    """Whether the place at which an answer stood decided: see `stats.win_rate.PositionBias`."""

    first: int
    second: int
    share: Measured | None
    p_value: float
    pairs: int
    consistent: int


class Likeness(_Record):
    """Where the oracle's answers come from, prompts without one, or why there is no likeness."""

    oracle: str | None = None
    missing: int = 0
    note: str | None = None


class People(_Record):
    """How far the judge agrees with the people who labelled the pairs of a run."""

    run: str
    people: tuple[str, ...]
    pairs: int
    failed: int = 0
    same: Measured | None = None
    kappa: Measured | None = None
    among: dict[str, Measured | None] | None = None


class Canaries(_Record):
    """Answers that try to instruct the judge, and how often they won."""

    found: int = 0
    answers: int = 0
    won: Measured | None = None


class Example(_Record):
    """One pair of answers; `share` is the model's win rate on the prompt, `won` this pair's score."""

    model: str
    kind: str
    share: float
    won: float
    prompt: str
    answer: str
    base: str


class Ranking(_Record):
    """`summary.json`: the comparison of all models of a graph of stages."""

    run: str
    verdict: str
    model: str
    judge: str
    level: float
    prompts: int
    samples: int
    comparisons: int
    models: tuple[ModelRecord, ...]
    pairs: tuple[PairRecord, ...]
    strengths: Strengths
    adjusted: Strengths
    seed: int | None = None
    missing: tuple[str, ...] = ()
    unscored: int = 0
    errors: dict[str, int] = Field(default_factory=dict)
    place: Place | None = None
    canaries: Canaries = Canaries()
    likeness: Likeness = Likeness()
    people: tuple[People, ...] = ()
    plan: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The models, the base first."""
        return tuple(record.name for record in self.models)

    def pair(self, first: str, second: str) -> PairRecord | None:
        """The record of two models in this order, if there is one."""
        return next((one for one in self.pairs if (one.first, one.second) == (first, second)), None)

    def over_base(self, name: str) -> PairRecord | None:
        """The record of a model against the base; None for the base itself."""
        return self.pair(name, BASE)


class Training(_Record):
    """How a model was trained: what it began at, what its loss stays near, its last measures."""

    name: str
    stage: str
    parent: str
    reference: str | None = None
    measures: dict[str, float | None] = Field(default_factory=dict)


@dataclass(frozen=True)
class RankingData:
    """A whole evaluated run in memory. `trainings` lack those whose record cannot be read."""

    folder: Path
    config: str
    provenance: dict[str, Any]
    summary: Ranking
    responses: pd.DataFrame
    comparisons: pd.DataFrame
    trainings: tuple[Training, ...] = ()


def parse_ranking(summary: dict[str, Any]) -> Ranking:
    """The summary as a typed value; RunError names the field that is wrong."""
    try:
        return Ranking.model_validate(summary)
    except ValidationError as error:
        raise RunError(
            f"The summary is broken: {_first(error)}.", "Evaluate the run again: rlpersona evaluate RUN"
        ) from None


def read_ranking(folder: Path) -> RankingData:
    """The files of an evaluated run. RunError names the one that is missing or broken."""
    path = folder / (SUMMARY if (folder / SUMMARY).exists() else PARTIAL)
    provenance = folder / PROVENANCE
    summary = parse_ranking(_read(path, json.loads))
    return RankingData(
        folder=folder,
        config=_read(folder / CONFIG, str),
        provenance=_read(provenance, json.loads) if provenance.exists() else {},
        summary=summary,
        responses=_table(folder, "responses.parquet"),
        comparisons=_table(folder, "comparisons.parquet"),
        trainings=tuple(_trainings(folder, summary.names)),
    )


def _trainings(folder: Path, names: Iterable[str]) -> Iterator[Training]:
    """The records that the stages left, in the order of the models."""
    for name in names:
        try:
            record = (folder / "stages" / name / "done.json").read_text(encoding="utf-8")
            yield Training.model_validate({**json.loads(record), "name": name})
        except (OSError, ValueError, TypeError):
            continue


def _read(path: Path, parse: Callable[[str], T]) -> T:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"Run '{path.parent.name}' has no {path.name}.", _hint(path.parent)) from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is broken: {error}.", _hint(path.parent)) from None


def _table(folder: Path, name: str) -> pd.DataFrame:
    import pandas as pd
    from pyarrow.lib import ArrowException

    try:
        table = pd.read_parquet(folder / name)
    except FileNotFoundError:
        raise RunError(f"Run '{folder.name}' has no {name}.", _hint(folder)) from None
    except (OSError, ValueError, ArrowException) as error:
        raise RunError(f"{folder / name} is broken: {error}.", _hint(folder)) from None
    if missing := [column for column in COLUMNS[name] if column not in table.columns]:
        raise RunError(f"{folder / name} lacks the column {missing[0]}.", _hint(folder))
    return table


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    return f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"


def _hint(folder: Path) -> str:
    return f"Evaluate it: rlpersona evaluate {folder.name}"
