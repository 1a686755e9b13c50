"""Rosters: the nano world's people, notable people of all times, or a CSV file of names."""

from __future__ import annotations

import dataclasses
import math
import os
import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.personas.notable import era_of, notable_people
from rlpersona.personas.sampling import Sample, drawn, in_groups
from rlpersona.tasks.files import Row, file_kind, read_rows
from rlpersona.types import Persona

NO_PERSONA = Persona(name="(no persona)", system=None)
PREFIX = "You are {name}."
COLUMNS = ("name", "field", "era", "birth_year", "fame", "description", "system")
T = TypeVar("T", int, float)


def load_personas(
    source: str,
    *,
    limit: int | None = None,
    sample: Sample = "random",
    groups: Sequence[str] = (),
    bystanders: int = 0,
    seed: int = 0,
    prefix: str = PREFIX,
    duplicates: Literal["refuse", "drop"] = "refuse",
) -> list[Persona]:
    """The personas of a roster, in its order, no two with one name.

    `source` is `"nano"`, whose roster can be joined by `bystanders` with names that the model never met;
    `"notable"`, the shipped 11,298 people; or a CSV file with a column `name` and any of `field`, `era`
    (where empty it follows from the birth year), `birth_year` (a whole number, negative BC), `fame` (any
    scale), `description` and `system` (a whole system prompt; where empty, `prefix` makes one from the
    name). Names are the same if they differ only in case, spaces or Unicode form; `duplicates="drop"`
    keeps the first of them. `groups` keeps the people of these groups (nano), fields or domains. `limit`
    then keeps at most that many, drawn as `personas.sampling.drawn` says (a larger limit adds to the
    sample of a smaller one; pairs come side by side).

    Raises ConfigError for a prefix without `{name}`, bystanders of another roster or a group without
    people, DataError with the line for an unknown column, an empty or repeated name, a value that is not
    a number, and for an empty roster or one that lacks what the sample needs.
    """
    _check_prefix(prefix)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit={limit}: at least one persona is needed", "Give limit=1 or more.")
    if bystanders and source != "nano":
        raise ConfigError(f"bystanders={bystanders} belong to the nano roster", "Drop bystanders.")
    if source == "nano":
        people = _nano(bystanders, seed, prefix)
    elif source == "notable":
        people = notable_people(prefix)
    else:
        people = _read(source, prefix, duplicates)
    return drawn(in_groups(people, groups), sample, limit, seed)


def _nano(bystanders: int, seed: int, prefix: str) -> list[Persona]:
    from rlpersona.models import nano

    people = nano.personas() + nano.bystanders(bystanders, seed)
    return [
        dataclasses.replace(person, system=prefix.replace("{name}", person.name)) for person in people
    ]


def _check_prefix(prefix: str) -> None:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(prefix) if field is not None]
    except ValueError:
        fields = []
    if set(fields) != {"name"}:
        raise ConfigError(
            f"prefix '{prefix}' must hold {{name}} and no other braces", f"E.g. '{PREFIX}'"
        )


def _read(source: str, prefix: str, duplicates: str) -> list[Persona]:
    path = Path(os.path.expanduser(source))
    if not os.path.isfile(path):
        raise DataError(
            f"no such roster: {source}", "Give 'nano', 'notable' or a CSV file with a column 'name'."
        )
    if file_kind(path) != "csv":
        raise DataError(f"{path}: a roster is a CSV file", "Save it as .csv (or .csv.gz).")
    rows = read_rows(path)
    if not rows:
        raise DataError(f"{path}: the roster is empty", "Give a header line and one line per persona.")
    _check_columns(path, rows[0].row)
    people = [(place, _persona(place, row, prefix)) for place, row in rows]
    return _distinct(path, people, duplicates)


def _check_columns(path: Path, columns: Iterable[str]) -> None:
    for column in columns:
        if column not in COLUMNS:
            raise DataError(f"{path}: unknown column '{column}'", did_you_mean(column, COLUMNS))
    if "name" not in columns:
        raise DataError(f"{path}: no column 'name'", "The first line names the columns: name,field,era")


def _persona(place: str, row: Row, prefix: str) -> Persona:
    name = row["name"].strip()
    if not name:
        raise DataError(f"{place}: the name is empty", "Fill it in or drop the line.")
    if any(unicodedata.category(char) == "Cc" for char in name) or name == NO_PERSONA.name:
        raise DataError(f"{place}: {name!r} cannot be a name", "Use one line of plain text.")
    year = _number(place, row, "birth_year", int)
    return Persona(
        name=name,
        system=row.get("system", "").strip() or prefix.replace("{name}", name),
        field=row.get("field", "").strip() or None,
        era=row.get("era", "").strip() or (None if year is None else era_of(year)),
        birth_year=year,
        fame=_number(place, row, "fame", float),
        description=row.get("description", "").strip() or None,
    )


def _number(place: str, row: Row, column: str, kind: Callable[[str], T]) -> T | None:
    text = row.get(column, "").strip()
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not math.isfinite(value):
        what = "a whole number" if kind is int else "a number"
        raise DataError(f"{place}: {column} '{text[:40]}' is not {what}", "Mend it or leave it empty.")
    return value


def _distinct(path: Path, people: list[tuple[str, Persona]], duplicates: str) -> list[Persona]:
    first: dict[str, tuple[str, Persona]] = {}
    repeats = []
    for place, person in people:
        key = " ".join(unicodedata.normalize("NFC", person.name).casefold().split())
        if key in first:
            line, earlier = (where.rpartition(", ")[2] for where in (place, first[key][0]))
            repeats.append(f"'{person.name}' ({line}, first on {earlier})")
        else:
            first[key] = (place, person)
    if repeats and duplicates == "refuse":
        more = f" and {len(repeats) - 3} more" if len(repeats) > 3 else ""
        raise DataError(
            f"{path}: repeated names: {', '.join(repeats[:3])}{more}",
            "Drop the lines, or keep the first of each name with duplicates=drop.",
        )
    return [person for _, person in first.values()]
