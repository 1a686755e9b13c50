"""The files of a finished bandit run, checked once so that everything after may trust them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from rlpersona.errors import RunError
from rlpersona.store import CONFIG, METRICS, PERSONAS, PROVENANCE, SUMMARY, VALIDATION

if TYPE_CHECKING:
    import pandas as pd


PERSONA_COLUMNS = ("name", "group", "field", "era", "pulls", "evaluations", "reward", "probability")
VALIDATION_COLUMNS = ("persona", "role", "question", "reward", "error")

T = TypeVar("T")


class _Record(BaseModel):
    """Base of what is read: unknown keys pass, and a number that is not finite counts as missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value


class Measured(_Record):
    """An estimate with its interval at `level`; `n` counts the true unit (questions).

    `estimate` is None where nothing could be measured; `low` and `high` are None where an estimate
    has no interval.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    level: float | None = None
    p: float | None = None


def _measured(value: Any) -> Any:
    """None is nothing measured; a test's result (`gain` and `p`) is its interval with the p value."""
    if value is None:
        return Measured()
    if isinstance(value, dict) and "gain" in value:
        return {**(value["gain"] or {}), "p": value.get("p")}
    return value


MaybeMeasured = Annotated[Measured, BeforeValidator(_measured)]


class Winner(_Record):
    """A persona that the policy chose, measured again on fresh questions.

    `accuracy` is the share of right answers, `gain` the paired difference to the no-persona control
    on the same questions, `p_holm` its p value corrected over all winners; `wins`, `losses` and
    `ties` count questions. `training_reward` is what the persona earned while it was being chosen.
    """

    persona: str
    group: str | None = None
    field: str | None = None
    accuracy: MaybeMeasured = Measured()
    gain: MaybeMeasured = Measured()
    p: float | None = None
    p_holm: float | None = None
    training_reward: float | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None


class Summary(_Record):
    """`summary.json`: the result of a bandit run. Numbers are None where nothing was measured."""

    run: str
    model: str
    benchmark: str
    algorithm: str
    verdict: str
    winners: tuple[Winner, ...]
    experiment: str = "bandit"
    reward: Literal["accuracy", "probability"] = "accuracy"
    significant: bool | None = None
    personas: int | None = None
    questions_train: int | None = None
    questions_fresh: int | None = None
    rounds: int | None = None
    evaluations: int | None = None
    seconds: float | None = None
    seed: int | None = None
    null_maximum: float | None = None
    unscored_share: float | None = None
    control: MaybeMeasured = Measured()
    random: MaybeMeasured = Measured()
    random_gain: MaybeMeasured = Measured()

    @property
    def measure(self) -> str:
        """What the search was rewarded with, in words. Fresh questions always measure accuracy."""
        return "accuracy" if self.reward == "accuracy" else "probability of the right answer"

    @property
    def best(self) -> Winner | None:
        """The winner to speak of: the surest gain, or the greatest where none is confirmed."""
        measured = [winner for winner in self.winners if winner.gain.estimate is not None]
        better = [winner for winner in measured if _or(winner.gain.estimate, 0) > 0]
        if self.significant and better:
            return min(better, key=lambda winner: (_or(winner.p_holm, 1), -_or(winner.gain.estimate, 0)))
        return max(measured, key=lambda winner: _or(winner.gain.estimate, 0), default=None)


class Round(_Record):
    """One line of `metrics.jsonl`. `evaluations`, `unscored` and `seconds` count from the start of
    the work; `reward` is the round's mean; `entropy` is the policy's, in nats."""

    round: int = Field(ge=0)
    rounds: int = Field(ge=0)
    evaluations: int = 0
    unscored: int = 0
    reward: float | None = None
    entropy: float | None = None
    top: str | None = None
    top_probability: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunData:
    """A whole run folder in memory. `rounds` is in order, one entry a round."""

    folder: Path
    config: str
    provenance: dict[str, Any]
    rounds: tuple[Round, ...]
    personas: pd.DataFrame
    validation: pd.DataFrame
    summary: Summary


def read_run(folder: Path) -> RunData:
    """Read the files that a finished bandit run leaves. RunError names the file that is missing or
    broken; nothing is guessed in its place."""
    if not folder.is_dir():
        raise RunError(f"There is no run folder {folder}.", "`rlpersona runs` lists the runs.")
    return RunData(
        folder=folder,
        config=_text(folder / CONFIG),
        provenance=_parsed(folder / PROVENANCE, _object),
        rounds=_parsed(folder / METRICS, _rounds),
        personas=_table(folder / PERSONAS, PERSONA_COLUMNS),
        validation=_table(folder / VALIDATION, VALIDATION_COLUMNS),
        summary=_parsed(folder / SUMMARY, Summary.model_validate_json),
    )


def parse_summary(summary: dict[str, Any]) -> Summary:
    """The summary as a typed value; RunError names the field that is wrong."""
    try:
        return Summary.model_validate(summary)
    except ValidationError as error:
        raise RunError(f"The run's summary is broken: {_first(error)}.", _hint("the run")) from None


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RunError(f"Run {path.parent.name} has no {path.name}.", _hint(path.parent.name)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read: {error}.", _hint(path.parent.name)) from None


def _parsed(path: Path, parse: Callable[[str], T]) -> T:
    try:
        return parse(_text(path))
    except ValidationError as error:
        reason = _first(error)
    except ValueError as error:
        reason = str(error)
    raise RunError(f"{path} is broken: {reason}.", _hint(path.parent.name))


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("it holds no JSON object")
    return value


def _rounds(text: str) -> tuple[Round, ...]:
    """By round number, the last line of a round wins: a resumed run repeats the round it died in."""
    rounds: dict[int, Round] = {}
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), start=1):
        try:
            record = Round.model_validate_json(line)
        except ValidationError as error:
            raise ValueError(f"line {number}, {_first(error)}") from None
        rounds[record.round] = record
    return tuple(rounds[number] for number in sorted(rounds))


def _table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd
    from pyarrow.lib import ArrowException

    if not path.is_file():
        raise RunError(f"Run {path.parent.name} has no {path.name}.", _hint(path.parent.name))
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError, ArrowException) as error:
        raise RunError(f"{path} is broken: {error}.", _hint(path.parent.name)) from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise RunError(f"{path} lacks the column {missing[0]}.", _hint(path.parent.name))
    return table


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"{where}: {detail['msg']}" if where else detail["msg"]


def _hint(run: str) -> str:
    return f"If {run} was interrupted, finish it with --resume; if not, run it again under another name."
