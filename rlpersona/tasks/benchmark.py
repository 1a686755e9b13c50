"""What a benchmark is: a name, where its rows come from, and how a row becomes a Question."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlpersona.tasks.files import Row
from rlpersona.tasks.identity import content_id, unit
from rlpersona.types import Question


class MalformedRow(ValueError):
    """A row that is not what the benchmark promises; the loader adds the file and the line."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`hub` is the default source, `path[:config]:split`. `parse(row, seed)` raises MalformedRow.

    `columns` names those of csv files that are published without a header.
    """

    name: str
    hub: str
    parse: Callable[[Row, int], Question]
    columns: tuple[str, ...] = ()


def value_of(row: Row, column: str) -> Any:
    """The value of a column that must be there."""
    if row.get(column) is None:
        found = ", ".join(str(key) for key in row if row[key] is not None)
        raise MalformedRow(f"column '{column}' is missing; found: {found[:200] or 'nothing'}")
    return row[column]


def text_of(row: Row, column: str) -> str:
    """The text of a column, stripped; it must hold some."""
    return clean_text(value_of(row, column), f"column '{column}'")


def clean_text(value: object, what: str) -> str:
    """A stripped text that is not empty, has no NUL and can be written as UTF-8."""
    if not isinstance(value, str):
        raise MalformedRow(f"{what} must be a text, not {type(value).__name__}")
    if not value.strip():
        raise MalformedRow(f"{what} is empty")
    if "\0" in value or not _encodable(value):
        raise MalformedRow(f"{what} holds a character that no text has (NUL or half a surrogate pair)")
    return value.strip()


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def open_question(
    source: str, text: str, answer: str, *, domain: str = "", meta: Mapping[str, Any] | None = None
) -> Question:
    """A question answered by free text whose gold is `answer`."""
    return Question(
        id=content_id(source, text, (), answer),
        text=text,
        answer=answer,
        source=source,
        domain=domain,
        meta=meta or {},
    )


def choice_question(
    source: str,
    text: str,
    choices: Sequence[str],
    answer: str,
    *,
    domain: str = "",
    meta: Mapping[str, Any] | None = None,
    shuffle: int | None = None,
) -> Question:
    """A multiple-choice question; `answer` is one of `choices`.

    Equal choices become one, since no likelihood can tell them apart. With a seed in `shuffle` the
    choices are put in an order that depends on the question and the seed alone.
    """
    distinct = tuple(dict.fromkeys(choices))
    if len(distinct) < 2:
        raise MalformedRow("fewer than two different choices")
    name = content_id(source, text, distinct, answer)
    if shuffle is not None:
        distinct = tuple(sorted(distinct, key=lambda choice: unit("choices", shuffle, name, choice)))
    return Question(
        id=name,
        text=text,
        answer=answer,
        choices=distinct,
        source=source,
        domain=domain,
        meta=meta or {},
    )


def present(row: Row, *columns: str) -> dict[str, Any]:
    """The columns that the row has, for `Question.meta`."""
    return {column: row[column] for column in columns if row.get(column) not in (None, "")}
