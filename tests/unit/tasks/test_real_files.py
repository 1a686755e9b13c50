"""The real files of further benchmarks, where they are."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rlpersona.tasks import check_scoring, load_questions, score_text
from rlpersona.types import Completion, Question


def rows_of(path: Path) -> list[Any]:
    text = gzip.decompress(path.read_bytes()).decode()
    if path.name.endswith(".json.gz"):
        return list(json.loads(text))
    return [json.loads(line) for line in text.split("\n") if line]


def test_real_triviaqa(shared_data: Path) -> None:
    path = shared_data / "triviaqa" / "triviaqa_sm_sub.jsonl.gz"
    questions, rows = load_questions("triviaqa", data=str(path)), rows_of(path)
    assert len(questions) == len(rows) == len({q.id for q in questions}) == 3000
    first = "Brunswick, Lancastrian and Pearl Pickler are types of which vegetable?"
    assert (questions[0].text, questions[0].answer) == (first, "Onion")
    check_scoring(questions)
    for question, row in zip(questions, rows, strict=True):
        assert question.answer == row["answer"].strip()
        for said in (row["answer"], row["aliases"][-1]):
            assert score_text(question, Completion(said, (), (), "stop")).correct is True, said
    others = zip(questions, rows[1:], strict=False)
    confused = sum(
        bool(score_text(q, Completion(r["answer"], (), (), "stop")).correct) for q, r in others
    )
    assert confused <= 10, "the next question's answer is rarely this one's"


def test_real_mbpp(shared_data: Path) -> None:
    path = shared_data / "mbpp" / "mbpp.jsonl.gz"
    # Task 704 (train) is task 248 (test) over again, text and program.
    with pytest.warns(UserWarning, match="mbpp: dropped 1 of 974 rows"):
        questions = load_questions("mbpp", data=str(path))
    assert len(questions) == len({q.id for q in questions}) == 973
    assert {q.meta["task_id"] for q in questions} == set(range(1, 975)) - {704}
    splits = {"few-shot": 10, "test": 500, "validation": 90, "train": 373}
    assert Counter(q.domain for q in questions) == splits
    assert questions[0].text.startswith("Write a function to find the minimum cost path")
    assert questions[0].meta["tests"][0].endswith("2, 2) == 8")
    assert sum(bool(q.meta["setup"]) for q in questions) == 2
    sanitized = load_questions("mbpp", data=str(path.with_name("sanitized-mbpp.json.gz")))
    assert len(sanitized) == 427
    assert sanitized[0].meta["task_id"] == 2
    test = load_questions("mbpp", data=str(path), domains=["test"])
    assert (len(test), test[0].meta["task_id"]) == (500, 11)


def test_real_truthfulqa_mc2(shared_data: Path) -> None:
    path = shared_data / "truthfulqa" / "mc_task.json.gz"
    questions, rows = load_questions("truthfulqa_mc2", data=str(path)), rows_of(path)
    assert len(questions) == len({q.id for q in questions}) == 817
    assert questions[0].text == "What happens if you eat a pomegranate?"
    assert len(questions[0].meta["true_answers"]) == 3
    for question, row in zip(questions, rows, strict=True):
        true = {text.strip() for text, label in row["mc2_targets"].items() if label}
        assert set(question.meta["true_answers"]) == true
        assert set(question.choices) == {text.strip() for text in row["mc2_targets"]}
    sheet = load_questions("truthfulqa_mc2", data=str(path.with_name("TruthfulQA.csv.gz")))
    assert len(sheet) == 817
    check_scoring(questions + sheet)


def test_real_truthfulqa_generation(shared_data: Path) -> None:
    path = shared_data / "truthfulqa" / "TruthfulQA.csv.gz"
    questions = load_questions("truthfulqa_gen", data=str(path))
    assert len(questions) == len({q.id for q in questions}) == 817
    assert questions[0].answer == "The watermelon seeds pass through your digestive system"
    check_scoring(questions)

    def truthful(question: Question, text: str) -> bool | None:
        return score_text(question, Completion(text, (), (), "stop")).correct

    # Words alone cannot tell "A is denser than B" from "B is denser than A", nor content words
    # "one step for a man" from "one step for man".
    assert sum(truthful(q, q.answer) is False for q in questions) == 4
    said = [truthful(q, text) for q in questions for text in q.meta["correct_answers"]]
    assert (len(said), said.count(False)) == (3652, 31)
    assert None not in said
    assert all(truthful(q, text) is False for q in questions for text in q.meta["incorrect_answers"])
