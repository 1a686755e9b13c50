"""Loading a benchmark: from files, folders and `datasets`; samples, domains, repeats, mistakes."""

from __future__ import annotations

import gzip
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError, DataError
from rlpersona.tasks import extract_number, fingerprint, load_questions, sources
from rlpersona.tasks.hub import parse_spec


def gsm8k(path: Path, numbers: list[int]) -> str:
    rows = [{"question": f"What is {n} + 1?", "answer": f"Add.\n#### {n + 1}"} for n in numbers]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` caches by default in the home folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_rows_become_questions_in_order(tmp_path: Path) -> None:
    questions = load_questions("gsm8k", data=gsm8k(tmp_path / "test.jsonl", [3, 1, 2]))
    assert [question.text for question in questions] == [f"What is {n} + 1?" for n in (3, 1, 2)]
    assert [question.answer for question in questions] == ["4", "2", "3"]


def test_ids_do_not_depend_on_order_and_repeats_are_dropped(tmp_path: Path) -> None:
    numbers = list(range(50))
    first = load_questions("gsm8k", data=gsm8k(tmp_path / "a.jsonl", numbers))
    random.Random(0).shuffle(numbers)
    with pytest.warns(UserWarning, match="dropped 2 of 52 rows"):
        second = load_questions("gsm8k", data=gsm8k(tmp_path / "b.jsonl", [*numbers, 7, 8]))
    assert [question.id for question in first] != [question.id for question in second]
    assert {question.id: question.text for question in first} == {q.id: q.text for q in second}
    assert fingerprint(first) == fingerprint(second)
    assert fingerprint(first) != fingerprint(first[1:])


def test_a_limit_is_a_nested_seeded_sample(tmp_path: Path) -> None:
    data = gsm8k(tmp_path / "a.jsonl", list(range(200)))
    small = load_questions("gsm8k", data=data, limit=20, seed=1)
    large = load_questions("gsm8k", data=data, limit=50, seed=1)
    other = load_questions("gsm8k", data=data, limit=20, seed=2)
    assert len(small) == 20
    assert {q.id for q in small} < {q.id for q in large}
    assert {q.id for q in small} != {q.id for q in other}
    assert len(load_questions("gsm8k", data=data, limit=500)) == 200


def test_a_folder_with_one_data_file(tmp_path: Path) -> None:
    gsm8k(tmp_path / "test.jsonl", [1])
    (tmp_path / "README.md").write_text("about")
    assert len(load_questions("gsm8k", data=str(tmp_path))) == 1
    gsm8k(tmp_path / "train.jsonl", [2])
    with pytest.raises(DataError, match=r"which file is meant: test\.jsonl, train\.jsonl"):
        load_questions("gsm8k", data=str(tmp_path))


@pytest.mark.usefixtures("own_cache")
def test_a_local_folder_through_datasets(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    gsm8k(folder / "test.jsonl", [1, 2, 3])
    gsm8k(folder / "train.jsonl", [4])
    questions = load_questions("gsm8k", data=f"{folder}:test")
    assert questions == load_questions("gsm8k", data=str(folder / "test.jsonl"))
    assert questions[:2] == load_questions("gsm8k", data=f"{folder}:test[:2]")
    with pytest.raises(DataError, match=r"cannot load the dataset .*:none"):
        load_questions("gsm8k", data=f"{folder}:none")
    with pytest.raises(DataError, match=":test, row 1: column 'choices' is missing"):
        load_questions("hellaswag", data=f"{folder}:test")


@pytest.mark.usefixtures("own_cache")
def test_a_hub_name_without_network_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="cannot load the dataset nobody/nothing:main:test") as caught:
        load_questions("gsm8k", data="nobody/nothing:main:test")
    assert "data=FILE" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("openai/gsm8k:main:test", ("openai/gsm8k", "main", "test")),
        ("Rowan/hellaswag:validation", ("Rowan/hellaswag", None, "validation")),
        ("a/b:c:test[:100]", ("a/b", "c", "test[:100]")),
        ("a/b:test[10%:20%]", ("a/b", None, "test[10%:20%]")),
        ("a/b", None),
        ("a/b:", None),
        ("a:b:c:d", None),
        (":test", None),
    ],
)
def test_hub_names(text: str, parts: tuple[str, str | None, str] | None) -> None:
    assert parse_spec(text) == parts


def test_names_that_are_not_known(tmp_path: Path) -> None:
    assert {"nano", "gsm8k", "hellaswag", "truthfulqa"} <= set(sources())
    with pytest.raises(ConfigError) as caught:
        load_questions("helaswag")
    assert caught.value.hint == "Did you mean 'hellaswag'?"
    data = gsm8k(tmp_path / "a.jsonl", [1])
    with pytest.raises(ConfigError, match="no domain 'maths'") as caught:
        load_questions("gsm8k", data=data, domains=["maths"])
    assert caught.value.hint == "Did you mean 'math'?"
    assert len(load_questions("gsm8k", data=data, domains=["math"])) == 1
    with pytest.raises(ConfigError, match="limit=0"):
        load_questions("gsm8k", data=data, limit=0)
    with pytest.raises(ConfigError, match="makes its own questions"):
        load_questions("nano", data=data)


def test_files_that_are_not_there_or_empty(tmp_path: Path) -> None:
    for data in ("none.jsonl", "none.jsonl.gz:test", str(tmp_path / "none"), "x" * 5000):
        with pytest.raises(DataError, match="no such file or folder") as caught:
            load_questions("gsm8k", data=data)
        assert data in caught.value.message
    with pytest.raises(DataError, match="no questions in"):
        load_questions("gsm8k", data=gsm8k(tmp_path / "empty.jsonl", []))


def test_a_malformed_row_names_file_and_line(tmp_path: Path) -> None:
    path = Path(gsm8k(tmp_path / "a.jsonl", [1, 2]))
    path.write_text(path.read_text() + '{"question": "q", "answer": "4"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 3: column 'answer' does not end with"):
        load_questions("gsm8k", data=str(path))


def test_the_nano_world() -> None:
    questions = load_questions("nano", domains=["math"], limit=30)
    assert len({question.id for question in questions}) == 30
    assert {question.domain for question in questions} == {"math"}
    assert all(question.answer in question.choices for question in questions)


def test_real_gsm8k(shared_data: Path) -> None:
    test = load_questions("gsm8k", data=str(shared_data / "gsm8k" / "test.jsonl.gz"))
    train = load_questions("gsm8k", data=str(shared_data / "gsm8k" / "train.jsonl.gz"))
    assert (len(test), len(train)) == (1319, 7473)
    assert not {question.id for question in test} & {question.id for question in train}
    assert test[0].answer == "18"
    assert sorted(q.answer for q in test if q.answer.startswith("-")) == ["-10", "-3"]
    # A second way to the gold: float of the text after the last mark.
    with gzip.open(shared_data / "gsm8k" / "test.jsonl.gz", "rb") as file:
        solutions = [json.loads(line)["answer"] for line in file]
    gold = [solution.split("####")[-1].replace(",", "") for solution in solutions]
    assert [float(question.answer) for question in test] == [float(answer) for answer in gold]
    assert [extract_number(solution) for solution in solutions] == [q.answer for q in test]


def test_real_hellaswag(shared_data: Path) -> None:
    path = shared_data / "hellaswag" / "hellaswag.json.gz"
    everything = load_questions("hellaswag", data=str(path))
    test = load_questions("hellaswag", data=f"{path}:test")
    sheet = "hellaswag_temporal_classifications_corrected.csv.gz"
    labelled = load_questions("hellaswag", data=str(path.with_name(sheet)))
    assert (len(everything), len(test), len(labelled)) == (2000, 1000, 500)
    assert all(len(question.choices) == 4 for question in everything + labelled)
    # The 52 questions that the two files share have one id in both.
    assert len({q.id for q in test} & {q.id for q in labelled}) == 52
    assert Counter(q.meta["category"] for q in labelled) == {"timeless": 403, "modern": 97}
    assert not any("[header]" in question.text for question in everything + labelled)
    with pytest.raises(DataError, match="line 2: column 'choices' is missing"):
        load_questions(
            "hellaswag", data=str(path.with_name("per_question_results_20251120_063139.csv.gz"))
        )


def test_real_truthfulqa(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "truthfulqa" / "mc_task.json.gz"
    questions = load_questions("truthfulqa", data=str(path))
    assert len(questions) == 817
    four = Counter(q.answer_index for q in questions if len(q.choices) == 4)
    assert sum(four.values()) == 208
    assert all(30 <= four[place] <= 75 for place in range(4))
    plain = tmp_path / "mc_task.json"
    with gzip.open(path) as source, plain.open("wb") as target:
        shutil.copyfileobj(source, target)
    assert load_questions("truthfulqa", data=str(plain)) == questions
    sheet = load_questions("truthfulqa", data=str(path.with_name("TruthfulQA.csv.gz")))
    assert len(sheet) == 817
    health = load_questions(
        "truthfulqa", data=str(path.with_name("TruthfulQA.csv.gz")), domains=["Health"]
    )
    assert [q for q in sheet if q.domain == "Health"] == health
    assert len(health) == 55
