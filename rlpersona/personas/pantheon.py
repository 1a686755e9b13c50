"""Makes the shipped table from the file of Pantheon 1.0.

    python -m rlpersona.personas.pantheon PANTHEON.tsv[.gz] [OUT.csv.gz]

The same input gives the same table. `notable.md` says what is cleaned and why.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlpersona.errors import DataError
from rlpersona.personas.notable import COLUMNS, TABLE

NEEDED = ("name", "birthyear", "occupation", "HPI", "countryName", "countryCode")
# Stands for a year that is not known: Diogenes Laertius and Manco Capac, both AD, have it, too.
UNKNOWN_YEAR = -3500
READABLE = {
    "chessmaster": "chess master",
    "martial arts": "martial artist",
    "snooker": "snooker player",
}
ARTICLE = re.compile(
    r"United (States|Kingdom|Arab)|Netherlands|.*Republic( |$)|Philippines|Maldives|Isle of|US "
)


class Table(NamedTuple):
    """The rows of the shipped table, and how many people were left out for which reason."""

    rows: list[tuple[str, str, int, str, str]]
    undated: int
    repeated: int


def read_pantheon(path: Path) -> list[dict[str, str]]:
    """The rows of the TSV (quotes are plain characters in it). DataError where it is no such file."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})", "Give pantheon.tsv or .tsv.gz.") from error
    lines = [line.split("\t") for line in text.split("\n") if line]
    header = lines[0] if lines else []
    missing = [column for column in NEEDED if column not in header]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}'", "Give the whole file of Pantheon 1.0.")
    for number, values in enumerate(lines, start=1):
        if len(values) != len(header):
            raise DataError(
                f"{path}, line {number}: {len(values)} columns, not {len(header)}", "Copy it again."
            )
    return [dict(zip(header, values, strict=True)) for values in lines[1:]]


def notable_table(people: Sequence[dict[str, str]]) -> Table:
    """Name, field, birth year, fame (HPI, 3 decimals) and country, the most famous first.

    People without a year of birth are left out; of those with one name the most famous stays.
    """
    countries = _countries(people)
    rows, seen, undated = [], set(), 0
    for person in sorted(people, key=lambda p: (-float(p["HPI"]), p["name"])):
        year = _year(person["birthyear"])
        name = clean_name(person["name"])
        if year is None:
            undated += 1
        elif name.casefold() not in seen:
            seen.add(name.casefold())
            field = person["occupation"].lower()
            country = countries.get(person["countryCode"], "")
            rows.append((name, READABLE.get(field, field), year, f"{float(person['HPI']):.3f}", country))
    return Table(rows, undated, len(people) - undated - len(rows))


def clean_name(raw: str) -> str:
    """A name as it is written: a quoted one unquoted, one sign for ayn, single spaces, NFC."""
    name = raw.strip()
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('""', '"')
    return " ".join(unicodedata.normalize("NFC", name).replace("`", "\u2018").split())


def _year(text: str) -> int | None:
    year = int(text) if re.fullmatch(r"-?\d+", text) else UNKNOWN_YEAR
    return None if year == UNKNOWN_YEAR else year


def _countries(people: Sequence[dict[str, str]]) -> dict[str, str]:
    """Country code -> one spelling, as it stands after "in"; most have two, one in capitals."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for person in people:
        name = person["countryName"]
        if name and name != "Unknown":
            spellings[person["countryCode"]][name] += 1
    return {code: _spelled(names) for code, names in spellings.items()}


def _spelled(names: Counter[str]) -> str:
    mixed = [name for name in names if not name.isupper()] or list(names)
    best = max(mixed, key=lambda name: (names[name], name))
    if best.isupper():
        best = re.sub(r"\b(And|Of)\b", lambda word: word[0].lower(), best.title())
    best = best.partition(" [")[0]
    return f"the {best}" if ARTICLE.match(best) else best


def write_table(table: Table, out: Path) -> None:
    """The table as gzipped CSV, whole or not at all; no time stamp, so equal tables are equal files."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(table.rows)
    part = out.with_name(f".{out.name}.part")
    part.write_bytes(gzip.compress(text.getvalue().encode(), compresslevel=9, mtime=0))
    os.replace(part, out)


def main(arguments: Sequence[str]) -> int:
    """Make the table and say what was left out."""
    if len(arguments) not in (1, 2):
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    out = Path(arguments[1]) if len(arguments) == 2 else TABLE
    try:
        table = notable_table(read_pantheon(Path(arguments[0])))
    except DataError as error:
        print(f"{error}\n{error.hint}", file=sys.stderr)
        return error.exit_code
    write_table(table, out)
    print(
        f"{out}: {len(table.rows)} people; left out: {table.undated} undated, {table.repeated} repeats"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
