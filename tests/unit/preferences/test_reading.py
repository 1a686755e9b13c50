"""Files of pairs: everything that may be wrong with one, with its place, before money is spent."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.preferences.reading import read_pairs

GOOD = {"id": "1", "prompt": "Why?", "a": "So.", "b": "Thus."}


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_with_labels_of_several_people(tmp_path: Path) -> None:
    rows = [
        GOOD | {"choice": "a", "annotator": "ann"},
        GOOD | {"choice": "tie", "annotator": "bob"},
        {"prompt": "How?", "a": "x", "b": "y", "choice": "B", "writer_a": "Curie"},
        {"prompt": "Who?", "a": "x", "b": "y", "choice": None},
    ]
    found = read_pairs(lines(tmp_path / "p.jsonl", *rows))
    assert [pair.prompt for pair in found.pairs] == ["Why?", "How?", "Who?"]
    assert found.pairs[1].writer_a == "Curie"
    said = {name: [label.choice for label in labels] for name, labels in found.labels.items()}
    assert said == {"ann": ["a"], "bob": ["tie"], "imported": ["b"]}
    assert found.pairs[1].id == found.labels["imported"][0].pair
    assert not found.rejected


def test_bom_crlf_and_csv_are_read(tmp_path: Path) -> None:
    text = 'id,prompt,a,b,choice\r\n1,"Why, so?",one,two,a\r\n2,How?,one,"t\nwo",\r\n'
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = read_pairs(tmp_path / "p.csv")
    assert [(p.id, p.prompt, p.b) for p in found.pairs] == [
        ("1", "Why, so?", "two"),
        ("2", "How?", "t\nwo"),
    ]
    for bad_rows in ("refuse", "quarantine"):
        (tmp_path / "p.jsonl").write_bytes(b"\xef\xbb\xbf" + json.dumps(GOOD).encode() + b"\r\n")
        assert read_pairs(tmp_path / "p.jsonl", bad_rows).pairs[0].id == "1"


BAD = [
    ([GOOD, GOOD | {"b": "Other."}], r"line 1: id '1' has other content in .*line 2", 0),
    ([GOOD, GOOD | {"a": "Thus.", "b": "So."}], "has other content", 0),
    ([GOOD, GOOD], r"line 2: repeats .*line 1", 1),
    ([GOOD, GOOD | {"id": "2"}], r"line 2: the same pair as .*line 1, under another id", 1),
    ([GOOD, GOOD | {"id": "2", "a": "Thus.", "b": "So."}], "the same pair as", 1),
    ([GOOD | {"choice": "a"}, GOOD | {"choice": "b"}], "'imported' says something else of it in", 0),
    ([GOOD, {"prompt": "x", "a": " ", "b": "y"}], "line 2: 'a' is empty", 1),
    ([GOOD, {"prompt": "x", "b": "y"}], "line 2: 'a' is missing", 1),
    ([GOOD, {"prompt": "", "a": "x", "b": "y"}], "line 2: 'prompt' is empty", 1),
    ([GOOD, {"prompt": "x", "a": "y ", "b": "y"}], "line 2: both answers are the same", 1),
    ([GOOD, {"prompt": ["x"], "a": "z", "b": "y"}], "line 2: 'prompt' must be text, this is list", 1),
    ([GOOD, {"prompt": "x", "a": "z\0", "b": "y"}], "line 2: 'a' holds a NUL", 1),
    ([GOOD, {"prompt": "x", "a": "z\ud800", "b": "y"}], "line 2: 'a' holds a NUL or half", 1),
    ([GOOD, {"prompt": "x", "a": "z", "b": "y", "choice": "c"}], "line 2: no choice 'c'", 1),
    ([GOOD, {"prompt": "x", "a": "z", "b": "y", "annotator": "../x"}], "annotator's name", 1),
]


@pytest.mark.parametrize(("rows", "message", "kept"), BAD)
def test_bad_rows_are_refused_or_set_aside(
    tmp_path: Path, rows: list[object], message: str, kept: int
) -> None:
    path = lines(tmp_path / "p.jsonl", *rows)
    with pytest.raises(DataError, match=message) as caught:
        read_pairs(path)
    assert "quarantine" in caught.value.hint
    path = lines(path, *rows, {"prompt": "Last?", "a": "x", "b": "z"})
    found = read_pairs(path, "quarantine")
    assert len(found.pairs) == kept + 1
    assert len(found.rejected) == len(rows) - kept
    assert all(row.place.startswith(f"{path}, line ") for row in found.rejected)


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (b'{"prompt": "x", "a": "y', 2),
        (b"\0\0", 2),
        (b'{"prompt": "\xff"}', 2),
        (b"[]", 2),
        (b"[" * 9999, 2),
    ],
)
def test_broken_lines_are_refused_or_set_aside(tmp_path: Path, bad: bytes, line: int) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + bad)
    with pytest.raises(DataError, match=f"line {line}"):
        read_pairs(path)
    found = read_pairs(path, "quarantine")
    assert [pair.id for pair in found.pairs] == ["1"]
    assert [row.place for row in found.rejected] == [f"{path}, line {line}"]


def test_a_csv_torn_in_a_quote_and_a_file_without_pairs_are_always_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text('prompt,a,b\nx,y,"z')
    lines(tmp_path / "p.jsonl", {"prompt": "x"})
    with pytest.raises(DataError, match="line 2"):
        read_pairs(tmp_path / "p.csv", "quarantine")
    with pytest.raises(DataError, match="no usable pair"):
        read_pairs(tmp_path / "p.jsonl", "quarantine")
    with pytest.raises(DataError, match="no such file"):
        read_pairs(tmp_path / "none.jsonl", "quarantine")


@settings(deadline=None)
@given(st.binary(max_size=150))
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "p.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + data)
    with contextlib.suppress(DataError):
        assert read_pairs(path).pairs[0].id == "1"
    found = read_pairs(path, "quarantine")
    assert found.pairs[0].id == "1"
