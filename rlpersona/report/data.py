"""The files of a finished bandit run, checked once so that everything after may trust them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from rlpersona.errors import RunError
from rlpersona.report.records import Measured, Round, Summary, Winner
from rlpersona.store import CONFIG, METRICS, PERSONAS, PROVENANCE, SUMMARY, VALIDATION

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Measured", "Round", "RunData", "Summary", "Winner", "parse_summary", "read_run"]

PERSONA_COLUMNS = ("name", "group", "field", "era", "pulls", "evaluations", "reward", "probability")
VALIDATION_COLUMNS = ("persona", "role", "question", "reward", "error")

T = TypeVar("T")


@dataclass(frozen=True)
class RunData:
    """A whole run folder in memory. `rounds` is in order, one entry a round.

    `settings` are the values in the text `config`. `validation` holds the fresh answers on the run's own
    benchmark, `elsewhere` those on others, with their column `benchmark`.
    """

    folder: Path
    config: str
    settings: dict[str, Any]
    provenance: dict[str, Any]
    rounds: tuple[Round, ...]
    personas: pd.DataFrame
    validation: pd.DataFrame
    elsewhere: pd.DataFrame
    summary: Summary


def read_run(folder: Path) -> RunData:
    """Read the files that a finished bandit run leaves. RunError names the file that is missing or
    broken, or that the run is of another experiment; nothing is guessed in its place."""
    if not folder.is_dir():
        raise RunError(f"There is no run folder {folder}.", "`rlpersona runs` lists the runs.")
    settings = _parsed(folder / CONFIG, _settings)
    if settings.get("experiment", "bandit") != "bandit":
        raise RunError(f"'{folder.name}' is no bandit run.", f"rlpersona show {folder.name}")
    summary = _parsed(folder / SUMMARY, Summary.model_validate_json)
    answers = _table(folder / VALIDATION, VALIDATION_COLUMNS)
    own = _own_benchmark(answers)
    return RunData(
        folder=folder,
        config=_text(folder / CONFIG),
        settings=settings,
        provenance=_parsed(folder / PROVENANCE, _object),
        rounds=_rounds_of(folder / METRICS, summary),
        personas=_table(folder / PERSONAS, PERSONA_COLUMNS),
        validation=answers[own],
        elsewhere=answers[~own],
        summary=summary,
    )


def parse_summary(summary: dict[str, Any]) -> Summary:
    """The summary as a typed value; RunError names the field that is wrong."""
    try:
        return Summary.model_validate(summary)
    except ValidationError as error:
        raise RunError(f"The run's summary is broken: {_first(error)}.", _hint("the run")) from None


def _own_benchmark(answers: pd.DataFrame) -> pd.Series[bool]:
    """Which answers are to the benchmark of the search: it is the first in the table."""
    import pandas as pd

    if "benchmark" not in answers.columns or answers.empty:
        return pd.Series(True, index=answers.index)
    own: pd.Series[bool] = answers["benchmark"] == answers["benchmark"].iloc[0]
    return own


def _rounds_of(path: Path, summary: Summary) -> tuple[Round, ...]:
    """The rounds of the search; a run that searched nothing may have no file of them."""
    if summary.rounds == 0 and not path.exists():
        return ()
    return _parsed(path, _rounds)


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


def _settings(text: str) -> dict[str, Any]:
    import yaml

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError("it is no YAML") from None
    if not isinstance(value, dict):
        raise ValueError("it holds no settings")
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
