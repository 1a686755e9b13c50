"""Labels of two raters, under the ids of the questions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rlpersona.errors import ConfigError, DataError
from rlpersona.tasks import load_labels, load_questions


def rated(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ending(text: str, label: str) -> dict[str, Any]:
    return {
        "question_id": 7,
        "question": f"{text}\n\nWhich ending makes the most sense?",
        "choices": '["runs.", "sits."]',
        "correct_answer": 0,
        "category": label,
    }


def test_ids_are_those_of_the_questions(tmp_path: Path) -> None:
    path = rated(tmp_path / "a.jsonl", ending("A man", "MODERN"), ending("A dog", " timeless "))
    questions = load_questions("hellaswag", data=str(path))
    assert load_labels(path) == {questions[0].id: "modern", questions[1].id: "timeless"}
    assert load_labels(str(path), "hellaswag", column="category", seed=3) == {
        question.id: question.meta["category"].strip().lower() for question in questions
    }


@pytest.mark.parametrize("benchmark", ["nano", "gsm8k"])
def test_rows_may_name_questions_by_id(tmp_path: Path, benchmark: str) -> None:
    path = rated(tmp_path / "a.jsonl", {"id": "x", "label": "Modern"}, {"id": "y", "label": "timeless"})
    assert load_labels(path, benchmark, column="label") == {"x": "modern", "y": "timeless"}


def test_nano_rows_may_show_the_text_too(tmp_path: Path) -> None:
    question = load_questions("nano", limit=1)[0]
    row = {"id": question.id, "question": question.text, "category": "modern"}
    assert load_labels(rated(tmp_path / "a.jsonl", row), "nano") == {question.id: "modern"}


def test_the_id_of_a_full_row_is_the_benchmarks_own(tmp_path: Path) -> None:
    row = {
        "id": "MCAS_1",
        "question": "Hot?",
        "choices": {"text": ["a", "b"], "label": ["A", "B"]},
        "answerKey": "A",
        "category": "modern",
    }
    path = rated(tmp_path / "a.jsonl", row)
    assert list(load_labels(path, "arc")) == [load_questions("arc", data=str(path))[0].id] != ["MCAS_1"]


def test_mistakes_are_named(tmp_path: Path) -> None:
    twice = rated(tmp_path / "a.jsonl", ending("A man", "modern"), ending("A man", "modern"))
    assert len(load_labels(twice)) == 1
    unsure = rated(tmp_path / "b.jsonl", ending("A man", "modern"), ending("A man", "timeless"))
    with pytest.raises(DataError, match=r"line 2: the question is labelled 'timeless', above 'modern'"):
        load_labels(unsure)
    with pytest.raises(DataError, match=r"line 1: column 'category' is empty"):
        load_labels(rated(tmp_path / "c.jsonl", ending("A man", " ")))
    with pytest.raises(DataError, match=r"line 1: column 'era' is missing"):
        load_labels(twice, column="era")
    with pytest.raises(DataError, match=r"line 1: column 'id' is missing") as caught:
        load_labels(rated(tmp_path / "d.jsonl", {"category": "modern"}))
    assert "hellaswag's own columns" in caught.value.hint
    with pytest.raises(DataError, match="no labels in"):
        load_labels(rated(tmp_path / "e.jsonl"))
    with pytest.raises(ConfigError, match="unknown benchmark 'helaswag'"):
        load_labels(twice, "helaswag")


def test_two_real_raters(shared_data: Path) -> None:
    folder = shared_data / "hellaswag"
    machine = folder / "hellaswag_temporal_classifications_20251120_031050.csv.gz"
    review = folder / "hellaswag_temporal_classifications_corrected.csv.gz"
    first, second = load_labels(machine), load_labels(review)
    assert Counter(first.values()) == {"modern": 117, "timeless": 383}
    assert Counter(second.values()) == {"modern": 97, "timeless": 403}
    questions = load_questions("hellaswag", data=str(review))
    assert list(first) == list(second) == [question.id for question in questions]
    assert second == {question.id: question.meta["category"] for question in questions}
    with pytest.raises(DataError, match="line 2: column 'choices' is missing"):
        load_labels(folder / "per_question_results_20251120_063139.csv.gz")
