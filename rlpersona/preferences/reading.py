"""Pairs, and labels if it has any, from a file: each bad row is refused or set aside with its place.

Columns: `prompt`, `a`, `b`; and if wanted `id`, `choice` (a, b, tie, skip or empty), `annotator`,
`writer_a`, `writer_b`. A pair that several annotators labelled has one row for each.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from rlpersona.errors import ConfigError, DataError
from rlpersona.preferences.labels import CHOICES, Choice, Label, label_file
from rlpersona.preferences.pairs import Pair, pair_id
from rlpersona.tasks.files import Located, file_kind, read_rows

COLUMNS = ("prompt", "a", "b", "id", "choice", "annotator", "writer_a", "writer_b")
IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was set aside, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What a file holds: pairs in its order, labels by annotator, and the rows set aside."""

    pairs: list[Pair]
    labels: dict[str, list[Label]]
    rejected: list[Rejected]


@dataclass(frozen=True, slots=True)
class _Entry:
    place: str
    pair: Pair
    annotator: str
    choice: Choice | None


def read_pairs(path: Path, bad_rows: Literal["refuse", "quarantine"] = "refuse") -> Imported:
    """Read a jsonl, json, csv or parquet file of pairs.

    `refuse`: the first bad row is a DataError with file and line. `quarantine`: bad rows are set aside;
    lines of a jsonl file that are torn, not UTF-8 or hold NUL among them. A csv, json or parquet file
    that is broken as a whole is always refused, since no row after the break can be trusted. Rows that
    share an id but not the content are all bad: which is right cannot be known.
    """
    rejected: list[Rejected] = []
    entries = []
    for place, row in located_rows(path, bad_rows, rejected):
        try:
            entries.append(_entry(place, dict(row)))
        except ValueError as error:
            rejected.append(Rejected(place, str(error)))
    entries = _without_clashes(entries, rejected)
    if rejected and bad_rows == "refuse":
        more = f" ({len(rejected)} rows are bad)" if len(rejected) > 1 else ""
        raise DataError(
            f"{rejected[0].place}: {rejected[0].reason}{more}.",
            "Correct the file, or set such rows aside: bad_rows=quarantine",
        )
    if not entries:
        raise DataError(f"{path}: holds no usable pair.", f"Columns: {', '.join(COLUMNS)}.")
    labels: dict[str, list[Label]] = defaultdict(list)
    for entry in entries:
        if entry.choice is not None:
            labels[entry.annotator].append(Label(entry.pair.id, entry.choice))
    return Imported(list({e.pair.id: e.pair for e in entries}.values()), dict(labels), rejected)


def located_rows(
    path: Path, bad_rows: Literal["refuse", "quarantine"], rejected: list[Rejected]
) -> list[Located]:
    """The rows of a file; in quarantine, lines of a jsonl file that cannot be read join `rejected`."""
    if bad_rows == "refuse" or file_kind(path) != "jsonl" or path.suffix == ".gz" or not path.is_file():
        return read_rows(path)
    rows = []
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            if b"\0" in line:
                raise ValueError("holds a NUL byte")
            value = json.loads(line.decode())
            if not isinstance(value, dict):
                raise ValueError("a row must be an object of columns")
            rows.append(Located(place, value))
        except (ValueError, RecursionError) as error:
            rejected.append(Rejected(place, f"cannot be read ({error})"))
    return rows


def _entry(place: str, row: dict[str, object]) -> _Entry:
    """The row's pair and label; ValueError with the reason if it cannot be one."""
    values = {}
    for column in COLUMNS:
        value = row.get(column)
        if value is None:
            value = ""
        if not isinstance(value, str):
            raise ValueError(f"'{column}' must be text, this is {type(value).__name__}")
        if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
            raise ValueError(f"'{column}' holds a NUL or half a character")
        values[column] = value
    for column in ("prompt", "a", "b"):
        if not values[column].strip():
            raise ValueError(f"'{column}' is {'empty' if column in row else 'missing'}")
    if values["a"].split() == values["b"].split():
        raise ValueError("both answers are the same")
    choice = values["choice"].strip().lower()
    if choice and choice not in CHOICES:
        raise ValueError(f"no choice '{choice}'; known: {', '.join(CHOICES)}")
    annotator = values["annotator"].strip() or IMPORTED
    try:
        label_file(Path(), annotator)
    except ConfigError as error:
        raise ValueError(error.message.rstrip(".")) from error
    name = values["id"].strip() or pair_id(values["prompt"], values["a"], values["b"])
    texts = values["prompt"], values["a"], values["b"], values["writer_a"], values["writer_b"]
    return _Entry(place, Pair(name, *texts), annotator, cast(Choice, choice) if choice else None)


def _without_clashes(entries: Sequence[_Entry], rejected: list[Rejected]) -> list[_Entry]:
    """The rows that fit together; what clashes with another row is set aside."""
    by_id, by_content, votes = (defaultdict[object, list[_Entry]](list) for _ in range(3))
    for entry in entries:
        by_id[entry.pair.id].append(entry)
        by_content[entry.pair.content].append(entry)
        votes[entry.pair.id, entry.annotator].append(entry)
    kept = []
    for entry in entries:
        same_id = by_id[entry.pair.id]
        own = votes[entry.pair.id, entry.annotator]
        other = next((e for e in same_id if e.pair != entry.pair), None)
        first = by_content[entry.pair.content][0]
        if other is not None:
            reason = f"id '{entry.pair.id}' has other content in {other.place}"
        elif first.pair.id != entry.pair.id:
            reason = f"the same pair as {first.place}, under another id"
        elif len({e.choice for e in own}) > 1:
            other = next(e for e in own if e.choice != entry.choice)
            reason = f"'{entry.annotator}' says something else of it in {other.place}"
        elif own[0] is not entry:
            reason = f"repeats {own[0].place}"
        else:
            kept.append(entry)
            continue
        rejected.append(Rejected(entry.place, reason))
    return kept
