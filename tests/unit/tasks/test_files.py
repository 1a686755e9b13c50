"""Reading rows: every format, and every way in which a file can be broken."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.tasks.files import file_kind, read_rows

ROWS = [{"q": "one\u2028line", "n": 1}, {"q": 'a "quoted", b\nc', "n": 2}]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [dict(row) for _, row in read_rows(path)]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_format_gives_the_same_rows(tmp_path: Path, ending: str) -> None:
    import pyarrow
    import pyarrow.parquet

    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
    table = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), table)
    assert rows_of(write(tmp_path / f"a.jsonl{ending}", lines.encode())) == ROWS
    assert rows_of(write(tmp_path / f"b.jsonl{ending}", (lines + "\r\n\n").encode("utf-8-sig"))) == ROWS
    assert rows_of(write(tmp_path / f"c.json{ending}", json.dumps(ROWS).encode("utf-8-sig"))) == ROWS
    assert rows_of(write(tmp_path / f"d.parquet{ending}", table.getvalue().to_pybytes())) == ROWS
    sheet = 'q,n\r\n"one\u2028line",1\r\n\r\n"a ""quoted"", b\nc",2\r\n'
    texts = [{**row, "n": str(row["n"])} for row in ROWS]
    assert rows_of(write(tmp_path / f"e.csv{ending}", sheet.encode("utf-8-sig"))) == texts


def test_places_count_from_one_and_skip_nothing(tmp_path: Path) -> None:
    lines = write(tmp_path / "a.jsonl", b'{"a":1}\n\n{"a":2}\n')
    assert [place for place, _ in read_rows(lines)] == [f"{lines}, line 1", f"{lines}, line 3"]
    sheet = write(tmp_path / "a.csv", b'a\n"x\ny"\n\nz\n')
    assert [place for place, _ in read_rows(sheet)] == [f"{sheet}, line 2", f"{sheet}, line 5"]


def test_the_parts_of_a_json_object(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'{"name": "x", "dev": [{"a": 1}], "test": [{"a": 2}, {"a": 3}]}')
    assert [row["a"] for row in rows_of(path)] == [1, 2, 3]
    assert [row["split"] for row in rows_of(path)] == ["dev", "test", "test"]
    found = read_rows(path, "test")
    assert [row["a"] for _, row in found] == [2, 3]
    assert found[1].place == f"{path}, test row 2"
    with pytest.raises(DataError, match="no part 'tset'") as caught:
        read_rows(path, "tset")
    assert caught.value.hint == "Did you mean 'test'?"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": 2', "line 2: torn"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n{"a": 3}\n', "line 2: not JSON"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "line 2: a row must be an object of columns, this is list"),
        ("a.jsonl", b'{"a": 1}\n{"a": "\x00"}\n', "line 2: holds a NUL byte"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": "\xff"}\n', "line 3: not UTF-8"),
        ("a.jsonl", b"[" * 100_000 + b"\n", "line 1: not JSON"),
        ("a.jsonl", b'{"a": ' + b"1" * 5000 + b"}\n", "line 1: not JSON"),
        ("a.json", b'[{"a": 1},\n {"a": 2}\n', "line 3: not JSON"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', "line 2: not JSON"),
        ("a.json", b'[{"a": 1}, 2]', "row 2: a row must be an object"),
        ("a.json", b'{"a": 1}', "holds no list of rows"),
        ("a.json", b"3", "holds no list of rows"),
        ("a.json", '[{"a": "é"}]'.encode("utf-16"), "line 1: holds a NUL byte"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3: has 1 columns, the header has 2"),
        ("a.csv", b"a,b\n1,2,3\n", "line 2: has 3 columns"),
        ("a.csv", b'a,b\n1,2\n"3', "line 3: not CSV"),
        ("a.csv", b"a,a\n1,2\n", "line 1: the header names 'a' twice"),
        ("a.csv", b"a\n\xe9\n", "line 2: not UTF-8"),
        ("a.parquet", b"PAR1 no", "not a parquet file"),
        ("a.tsv", b"a\tb\n", "unknown kind of file"),
        ("a", b"", "unknown kind of file"),
    ],
)
def test_a_broken_file_names_the_place(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_rows(write(tmp_path / name, data))
    assert str(tmp_path / name) in caught.value.message
    assert caught.value.hint


def test_a_broken_archive_and_a_missing_file(tmp_path: Path) -> None:
    whole = gzip.compress(b'{"a": 1}\n' * 50)
    for data in (whole[:-9], b"no gzip at all", whole[:15] + b"\xff\xff\xff" + whole[18:]):
        path = tmp_path / "a.jsonl.gz"
        path.write_bytes(data)
        with pytest.raises(DataError, match="broken gzip file"):
            read_rows(path)
    with pytest.raises(DataError, match=r"no such file: .*none\.csv"):
        read_rows(tmp_path / "none.csv")
    with pytest.raises(DataError, match="only a json file has parts"):
        read_rows(write(tmp_path / "a.csv", b"a\n1\n"), "test")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.JSONL.GZ", "jsonl"), ("a.b.csv", "csv"), ("a.gz", None), ("csv", None), ("a.json.bz2", None)],
)
def test_kinds(name: str, kind: str | None) -> None:
    assert file_kind(Path(name)) == kind


@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=4))
def test_any_json_lines_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "any.jsonl"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert rows_of(path) == rows


@given(data=st.binary(max_size=200), name=st.sampled_from(["a.jsonl", "a.json", "a.csv", "a.csv.gz"]))
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    path = write(tmp_path_factory.mktemp("any") / name, data)
    try:
        rows = read_rows(path)
    except DataError:
        return
    assert all(place.startswith(str(path)) for place, _ in rows)
