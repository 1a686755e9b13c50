"""Rows of local data files, each with the place that an error message names.

Lines end at "\\n" alone: `str.splitlines` would also cut at U+2028, which occurs inside real rows.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlpersona.errors import DataError, did_you_mean

Row = Mapping[str, Any]


class Located(NamedTuple):
    """A row and where it stands, e.g. `"test.jsonl, line 3"`."""

    place: str
    row: Row


def file_kind(path: Path) -> str | None:
    """`"json"`, `"jsonl"`, `"csv"`, `"parquet"` by the name's ending (a last `.gz` aside), or None."""
    name = path.name.lower().removesuffix(".gz")
    kind = name.rpartition(".")[2] if "." in name else ""
    return kind if kind in _READERS else None


def read_rows(path: Path, part: str | None = None, columns: Sequence[str] = ()) -> list[Located]:
    """All rows of a json, jsonl, csv or parquet file (also `.gz`), in the file's order.

    A json file holds a list of objects, or an object whose values are such lists (`part` then picks
    one by its key; without it all are read and `row["split"]` tells them apart). A csv begins with a
    header; where its first row has as many values as `columns` and another last one, it has none, and
    `columns` are its names. Raises DataError with the place for whatever cannot be read: a missing or
    torn file, NUL, bytes that are not UTF-8.
    """
    kind = file_kind(path)
    if kind is None:
        raise DataError(
            f"{path}: unknown kind of file", f"Readable: {', '.join(_READERS)}, each also .gz."
        )
    if part is not None and kind != "json":
        raise DataError(
            f"{path}: only a json file has parts, '{part}' asks for one", f"Give {path} alone."
        )
    return list(_READERS[kind](path, _read_bytes(path), part, columns))


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix.lower() == ".gz" else data
    except FileNotFoundError as error:
        raise DataError(f"no such file: {path}", "Check the path.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: broken gzip file ({error})", "Copy the file again.") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror})", "Check its permissions."
        ) from error


def _decode(path: Path, data: bytes) -> str:
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise DataError(f"{path}, line {line}: holds a NUL byte", "Save the file as plain UTF-8 text.")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: not UTF-8", "Save the file as UTF-8.") from error


def _object(place: str, value: object) -> Located:
    if not isinstance(value, dict):
        raise DataError(
            f"{place}: a row must be an object of columns, this is {type(value).__name__}",
            'Write each row as {"column": value, ...}.',
        )
    return Located(place, value)


def _jsonl(path: Path, data: bytes, *_: object) -> Iterator[Located]:
    lines = _decode(path, data).split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(lines):
                raise DataError(
                    f"{place}: torn, the file ends in the middle of a row", "Copy the file again."
                ) from error
            raise DataError(f"{place}: not JSON ({error})", "Write one JSON object per line.") from error
        yield _object(place, value)


def _json(path: Path, data: bytes, part: str | None, _: Sequence[str]) -> Iterator[Located]:
    try:
        value = json.loads(_decode(path, data))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: not JSON ({error.msg})",
            "If it holds one object per line, name it .jsonl; if it is cut off, copy it again.",
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})", "Write a list of objects.") from error
    if isinstance(value, list) and part is None:
        yield from (_object(f"{path}, row {i}", row) for i, row in enumerate(value, start=1))
        return
    parts = value if isinstance(value, dict) else {}
    parts = {key: rows for key, rows in parts.items() if isinstance(rows, list)}
    if part is not None and part not in parts:
        raise DataError(f"{path}: has no part '{part}'", did_you_mean(part, parts))
    if not parts:
        raise DataError(f"{path}: holds no list of rows", "Write a list of objects.")
    for key in parts if part is None else [part]:
        for i, row in enumerate(parts[key], start=1):
            place, columns = _object(f"{path}, {key} row {i}", row)
            yield Located(place, {"split": key, **columns})


def _csv(path: Path, data: bytes, _: str | None, columns: Sequence[str]) -> Iterator[Located]:
    reader = csv.reader(io.StringIO(_decode(path, data), newline=""), strict=True)
    header: Sequence[str] | None = None
    line = 1
    try:
        for values in reader:
            place, line = f"{path}, line {line}", reader.line_num + 1
            if not values:
                continue
            if header is None:
                header = _header(place, values, columns)
                if header is not columns:
                    continue
            if len(values) != len(header):
                raise DataError(
                    f"{place}: has {len(values)} columns, the header has {len(header)}",
                    "Quote a value that holds a comma; a short last line means a torn file.",
                )
            yield Located(place, dict(zip(header, values, strict=True)))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {line}: not CSV ({error})", "An open quote at the end means a torn file."
        ) from error


def _header(place: str, values: list[str], columns: Sequence[str]) -> Sequence[str]:
    """The names in the first row, or `columns` itself where that row holds values already."""
    if columns and len(values) == len(columns) and values[-1].strip().lower() != columns[-1].lower():
        return columns
    header = [value.strip() for value in values]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise DataError(f"{place}: the header names '{repeated[0]}' twice", "Name each column once.")
    return header


def _parquet(path: Path, data: bytes, *_: object) -> Iterator[Located]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: not a parquet file ({error})", "Copy the file again.") from error
    yield from (Located(f"{path}, row {i}", row) for i, row in enumerate(rows, start=1))


_Reader = Callable[[Path, bytes, str | None, Sequence[str]], Iterator[Located]]
_READERS: dict[str, _Reader] = {"json": _json, "jsonl": _jsonl, "csv": _csv, "parquet": _parquet}
