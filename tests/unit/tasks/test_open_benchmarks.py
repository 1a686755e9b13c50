"""TriviaQA, MBPP and the other two forms of TruthfulQA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlpersona.tasks import load_questions
from rlpersona.tasks.benchmark import MalformedRow
from rlpersona.tasks.benchmarks import mbpp, triviaqa, truthfulqa_gen, truthfulqa_mc2

TRIVIA: dict[str, Any] = {
    "context": "Question: Which vegetable?\nAnswer:",
    "answer": "Onion",
    "aliases": ["Onions", "Onion"],
}
MBPP: dict[str, Any] = {
    "text": "Write a function to add.",
    "code": "def add(a, b): return a + b",
    "task_id": 11,
    "test_setup_code": "",
    "test_list": ["assert add(1, 2) == 3"],
    "challenge_test_list": [],
}
SHEET = {
    "Type": "Adversarial",
    "Category": "Misconceptions",
    "Question": "What is it?",
    "Best Answer": "Nothing",
    "Correct Answers": "Nothing; Air; Unknown",
    "Incorrect Answers": "Gold; A cat; Unknown; Gold;",
}


def test_triviaqa_forms_name_one_question() -> None:
    question = triviaqa.parse(TRIVIA, 0)
    assert (question.text, question.answer, question.choices) == ("Which vegetable?", "Onion", ())
    assert question.meta == {"aliases": ("Onions", "Onion")}
    hub = {
        "question": "Which vegetable?",
        "question_id": "tc_2",
        "answer": {"value": "Onion", "aliases": ["Onions"], "normalized_value": "onion"},
    }
    assert triviaqa.parse(hub, 0).id == question.id
    assert triviaqa.parse(hub, 0).meta == {"aliases": ("Onions",), "question_id": "tc_2"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**TRIVIA, "aliases": "Onion"}, "must be a list"),
        ({**TRIVIA, "aliases": ["Onion", 7]}, "an alias must be a text"),
        ({**TRIVIA, "answer": " "}, "'answer' is empty"),
        ({**TRIVIA, "context": "Question: \nAnswer:"}, "the question is empty"),
        ({"question": "q", "answer": "Onion"}, "an object with 'value'"),
        ({"question": "q", "answer": {"aliases": []}}, "'value' is missing"),
        ({"question": "q", "answer": {"value": "Onion"}}, "'aliases' is missing"),
    ],
)
def test_triviaqa_refuses(row: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRow, match=message):
        triviaqa.parse(row, 0)


@pytest.mark.parametrize(
    ("task", "split"),
    [
        (1, "few-shot"),
        (10, "few-shot"),
        (11, "test"),
        (510, "test"),
        (511, "validation"),
        (600, "validation"),
        (601, "train"),
        (974, "train"),
    ],
)
def test_mbpp_splits_by_task(task: int, split: str) -> None:
    assert mbpp.parse({**MBPP, "task_id": task}, 0).domain == split


def test_mbpp_forms() -> None:
    question = mbpp.parse({**MBPP, "test_setup_code": "x = 1", "challenge_test_list": ["assert x"]}, 0)
    assert (question.text, question.answer) == (MBPP["text"], MBPP["code"])
    assert question.meta["tests"] == ("assert add(1, 2) == 3",)
    assert (question.meta["setup"], question.meta["challenge_tests"]) == ("x = 1", ("assert x",))
    sanitized = {key: MBPP[key] for key in ("code", "task_id", "test_list")}
    sanitized |= {"prompt": MBPP["text"], "test_imports": ["import math", "import re"]}
    assert mbpp.parse(sanitized, 0).meta["setup"] == "import math\nimport re"
    assert mbpp.parse(sanitized, 0).id == question.id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"task_id": 0}, "from 1 to 974, not 0"),
        ({"task_id": 975}, "not 975"),
        ({"task_id": "11"}, "not '11'"),
        ({"test_list": []}, "'test_list' is empty"),
        ({"test_list": "assert"}, "must be a list"),
        ({"test_list": [""]}, "an entry of 'test_list' is empty"),
        ({"code": ""}, "'code' is empty"),
    ],
)
def test_mbpp_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRow, match=message):
        mbpp.parse({**MBPP, **change}, 0)


def test_mc2() -> None:
    row = {"question": "What is it?", "mc2_targets": {"Gold": 0, "Air": 1, "Nothing": 1, "A cat": 0}}
    question = truthfulqa_mc2.parse(row, 0)
    assert question.choices == ("Air", "Nothing", "Gold", "A cat")
    assert (question.answer, question.meta["true_answers"]) == ("Air", ("Air", "Nothing"))
    hub = {"choices": ["Gold", "Air", "Nothing", "A cat"], "labels": [0, 1, 1, 0]}
    assert truthfulqa_mc2.parse({"question": "What is it?", "mc2_targets": hub}, 7) == question
    sheet = truthfulqa_mc2.parse(SHEET, 0)
    assert sheet.choices == ("Nothing", "Air", "Gold", "A cat"), "what is on both sides is left out"
    assert sheet.meta == {"true_answers": ("Nothing", "Air"), "Type": "Adversarial"}


@pytest.mark.parametrize("targets", [{"a": 1}, {"a": 0}, {"a": 1, " a": 0}, {}])
def test_mc2_wants_both_sides(targets: dict[str, int]) -> None:
    with pytest.raises(MalformedRow, match="a true and a false answer"):
        truthfulqa_mc2.parse({"question": "q", "mc2_targets": targets}, 0)


def test_generation_forms() -> None:
    sheet = truthfulqa_gen.parse(SHEET, 0)
    assert (sheet.answer, sheet.choices, sheet.domain) == ("Nothing", (), "Misconceptions")
    assert sheet.meta["correct_answers"] == ("Nothing", "Air", "I have no comment.")
    assert sheet.meta["incorrect_answers"] == ("Gold", "A cat")
    hub = {
        "type": "Adversarial",
        "category": "Misconceptions",
        "question": "What is it?",
        "best_answer": "Nothing",
        "correct_answers": ["Nothing", "Air", "I have no comment."],
        "incorrect_answers": ["Gold", "A cat"],
    }
    question = truthfulqa_gen.parse(hub, 0)
    assert (question.id, question.domain) == (sheet.id, sheet.domain)
    for side in ("correct_answers", "incorrect_answers"):
        assert question.meta[side] == sheet.meta[side]
    with pytest.raises(MalformedRow, match="must be a list"):
        truthfulqa_gen.parse({**hub, "correct_answers": "Nothing"}, 0)
    with pytest.raises(MalformedRow, match="a true and a false answer"):
        truthfulqa_gen.parse({**hub, "incorrect_answers": []}, 0)


def test_a_local_folder_through_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = [
        {"question": f"Q{i}?", "question_id": f"tc_{i}", "answer": {"value": "x", "aliases": ["y"]}}
        for i in range(3)
    ]
    path = folder / "validation.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    questions = load_questions("triviaqa", data=f"{folder}:validation")
    assert questions == load_questions("triviaqa", data=str(path))
    assert questions[2].meta["question_id"] == "tc_2"
