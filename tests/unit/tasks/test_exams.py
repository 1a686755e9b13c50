"""MMLU and ARC, in the columns of the hub and of the original files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlpersona.errors import DataError
from rlpersona.tasks import load_questions
from rlpersona.tasks.benchmark import MalformedRow
from rlpersona.tasks.benchmarks import arc, mmlu

MMLU: dict[str, Any] = {
    "question": "Which of these is a noble gas?",
    "subject": "high_school_chemistry",
    "choices": ["Oxygen", "Neon", "Iron", "None of the above"],
    "answer": 1,
}
ARC: dict[str, Any] = {
    "id": "Mercury_SC_401699",
    "question": "Which is hot?",
    "choices": {"text": ["Ice", "Snow", "The Sun"], "label": ["A", "B", "C"]},
    "answerKey": "C",
}
ORIGINAL: dict[str, Any] = {
    "id": "MCAS_2000_4_6",
    "question": {
        "stem": "Which is cold?",
        "choices": [{"text": t, "label": str(i)} for i, t in enumerate("uvwxy", start=1)],
    },
    "answerKey": "5",
}


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` caches by default in the home folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def written(path: Path, *rows: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_mmlu() -> None:
    question = mmlu.parse(MMLU, 0)
    assert (question.text, question.answer) == (MMLU["question"], "Neon")
    assert question.choices == tuple(MMLU["choices"]), "the order at the source"
    assert (question.source, question.domain, question.cue) == ("mmlu", "high_school_chemistry", "")
    lettered = {key: MMLU[key] for key in ("question", "subject")} | {
        **dict(zip("ABCD", MMLU["choices"], strict=True)),
        "answer": "B",
    }
    assert mmlu.parse(lettered, 0) == question
    assert mmlu.parse({**MMLU, "answer": "1"}, 0) == question


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": 4}, "must be 0-3 or a letter A-D, not 4"),
        ({"answer": -1}, "not -1"),
        ({"answer": True}, "not True"),
        ({"answer": "E"}, "not 'E'"),
        ({"answer": "AB"}, "not 'AB'"),
        ({"answer": ""}, "not ''"),
        ({"answer": None}, "'answer' is missing"),
        ({"choices": ["a", "b", "c"]}, "four texts"),
        ({"choices": "abcd"}, "four texts"),
        ({"choices": ["a", "b", "c", None]}, "choice D must be a text"),
        ({"choices": ["a", "b", "c", " "]}, "choice D is empty"),
        ({"choices": ["a"] * 4}, "two different choices"),
        ({"question": " "}, "'question' is empty"),
    ],
)
def test_mmlu_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRow, match=message):
        mmlu.parse({**MMLU, **change}, 0)


@pytest.mark.parametrize("header", ["", "question,A,B,C,D,answer\n"])
def test_mmlu_csv_comes_without_a_header_or_with_one(tmp_path: Path, header: str) -> None:
    path = tmp_path / "abstract_algebra_test.csv"
    rows = '"Find x, where\nx + 1 = 2.",0,1,2,3,B\n"Which letter is first?",A,B,C,D,A\n'
    path.write_text(header + rows)
    first, second = load_questions("mmlu", data=str(path))
    assert (first.text, first.answer, first.domain) == ("Find x, where\nx + 1 = 2.", "1", "")
    assert (second.choices, second.answer) == (("A", "B", "C", "D"), "A")
    path.write_text(header + rows + "q,1,2,3,4,X\n")
    with pytest.raises(DataError, match=rf"line {5 if header else 4}: column 'answer' must be 0-3"):
        load_questions("mmlu", data=str(path))
    path.write_text(header + rows + "q,1,2,3,D\n")
    with pytest.raises(DataError, match="has 5 columns, the header has 6"):
        load_questions("mmlu", data=str(path))


def test_other_benchmarks_always_have_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,1,2,3,4,B\nr,1,2,3,4,C\n")
    with pytest.raises(DataError, match=r"line 2: column 'answer' is missing"):
        load_questions("gsm8k", data=str(path))


def test_arc() -> None:
    question = arc.parse(ARC, 0)
    assert (question.choices, question.answer) == (("Ice", "Snow", "The Sun"), "The Sun")
    assert (question.source, question.domain) == ("arc", "Mercury")
    assert question.meta == {"id": "Mercury_SC_401699"}
    five = arc.parse(ORIGINAL, 0)
    assert (five.text, five.choices, five.answer_index) == ("Which is cold?", tuple("uvwxy"), 4)
    assert five.domain == "MCAS"
    hub = {**ORIGINAL, "question": "Which is cold?"} | {
        "choices": {"text": list("uvwxy"), "label": list("12345")}
    }
    assert arc.parse(hub, 0) == five
    assert arc.parse({**ARC, "id": None}, 0).domain == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answerKey": "D"}, "'D' is none of the labels A, B, C"),
        ({"answerKey": "3"}, "'3' is none of the labels"),
        ({"answerKey": ""}, "'answerKey' is empty"),
        ({"answerKey": None}, "'answerKey' is missing"),
        ({"choices": {"text": ["a", "b"], "label": ["A"]}}, "as many labels as texts"),
        ({"choices": {"text": ["a", "b"], "label": ["A", "A"]}}, "two choices have one label"),
        ({"choices": {"text": ["a", ""], "label": ["A", "C"]}}, "choice C is empty"),
        ({"choices": {"text": ["a", "a"], "label": ["A", "C"]}}, "two different choices"),
        ({"choices": ["a", "b"]}, "must be an object"),
        ({"choices": {"text": ["a", "b"]}}, "'label' is missing"),
        ({"question": {"stem": "q", "choices": ["a"]}}, "list of objects"),
        ({"question": {"choices": []}}, "'stem' is missing"),
        ({"question": {"stem": "q", "choices": [{"label": "C"}]}}, "'text' is missing"),
    ],
)
def test_arc_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRow, match=message):
        arc.parse({**ARC, **change}, 0)


def test_malformed_rows_have_a_place(tmp_path: Path) -> None:
    data = written(tmp_path / "test.jsonl", ARC, ORIGINAL, {**ARC, "answerKey": "E"})
    with pytest.raises(DataError, match=r"test\.jsonl, line 3: the answer 'E' is none of") as caught:
        load_questions("arc", data=data)
    assert "arc's columns" in caught.value.hint


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("name", ["mmlu", "arc"])
def test_local_folders_through_datasets(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    row = MMLU if name == "mmlu" else ARC
    data = written(folder / "test.jsonl", row, {**row, "question": "Which else?"})
    questions = load_questions(name, data=f"{folder}:test")
    assert questions == load_questions(name, data=data)
    assert len(questions) == 2
