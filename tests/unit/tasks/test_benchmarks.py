"""Rows of each benchmark, in each of its forms."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from rlpersona.tasks import benchmarks
from rlpersona.tasks.benchmark import MalformedRow
from rlpersona.tasks.benchmarks import gsm8k, hellaswag, truthfulqa
from rlpersona.tasks.hub import parse_spec

GSM = {"question": " How many? ", "answer": "2 + 2 = <<2+2=4>>4\n#### 1,080"}
OFFICIAL: dict[str, Any] = {
    "ind": 24,
    "activity_label": "Roof shingle removal",
    "ctx_a": "A man is sitting on a roof.",
    "ctx_b": "he",
    "ctx": "A man is sitting on a roof. he",
    "endings": ["wraps a pair of skis.", "rips tiles.", "has a cube.", "pulls up roofing."],
    "label": 3,
    "source_id": "activitynet~v_-JhWjGDPHMY",
}
TRUTH = {"question": "What is it?", "mc1_targets": {"Nothing.": 1, "Gold.": 0, "A cat.": 0}}


def test_every_file_is_a_benchmark_with_its_name_and_a_place_on_the_hub() -> None:
    assert {"gsm8k", "hellaswag", "truthfulqa"} <= set(benchmarks.names())
    for name in benchmarks.names():
        benchmark = benchmarks.get(name)
        assert benchmark.name == name
        assert parse_spec(benchmark.hub)


def test_gsm8k() -> None:
    question = gsm8k.parse(GSM, 0)
    assert (question.text, question.answer, question.choices) == ("How many?", "1080", ())
    assert (question.source, question.domain, question.cue) == ("gsm8k", "math", "")


@pytest.mark.parametrize(
    "answer", ["18", "#### ", "#### ten", "#### 1,2", "#### 18\nmore", "#### 5 apples", "#### 1\n#### x"]
)
def test_gsm8k_refuses_a_malformed_gold(answer: str) -> None:
    with pytest.raises(MalformedRow, match="answer"):
        gsm8k.parse({**GSM, "answer": answer}, 0)


def test_hellaswag_official_rows_are_prepared_as_in_lm_eval() -> None:
    question = hellaswag.parse(OFFICIAL, 0)
    assert question.text == "Roof shingle removal: A man is sitting on a roof. He"
    assert question.choices == tuple(OFFICIAL["endings"])
    assert question.answer_index == 3
    assert (question.domain, question.cue) == ("activitynet", "")
    assert question.meta == {"ind": 24, "activity_label": "Roof shingle removal"}
    assert hellaswag.parse({**OFFICIAL, "label": "3"}, 0) == question
    bare = hellaswag.parse({key: OFFICIAL[key] for key in ("ctx", "endings", "label")}, 0)
    assert bare.text == OFFICIAL["ctx"]


def test_hellaswag_tags_go() -> None:
    row = {
        "ctx": "[header] How to bake [title] Heat the oven. [step] To 200.",
        "endings": ["[title] Wait. [step] Long.", "Eat [substeps] it.", "[title]", "Run  away."],
        "label": 0,
    }
    question = hellaswag.parse(row, 0)
    assert question.text == "How to bake. Heat the oven. To 200."
    assert question.choices == ("Wait. Long.", "Eat it.", "[title]", "Run away.")
    assert question.domain == "wikihow"


def test_hellaswag_sampled_forms_name_the_same_question() -> None:
    endings = ["runs.", "sits.", "sings.", "eats."]
    lettered = {
        "question": "A man. he",
        "choices": dict(zip("ABCD", endings, strict=True)),
        "answer": "C",
    }
    listed = {
        "question": "A man. he\n\nWhich ending makes the most sense?",
        "choices": '["runs.", "sits.", "sings.", "eats."]',
        "correct_answer": "2",
        "category": "timeless",
    }
    first, second = hellaswag.parse(lettered, 0), hellaswag.parse(listed, 0)
    assert first.id == second.id
    assert first.answer == second.answer == "sings."
    assert second.meta == {"category": "timeless"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": ""}, "test split has no labels"),
        ({"label": 4}, "number 4 of 4"),
        ({"label": -1}, "number -1"),
        ({"label": True}, "label"),
        ({"label": None}, "'label' is missing"),
        ({"endings": None}, "'endings' is missing"),
        ({"endings": "runs."}, "not a JSON list"),
        ({"endings": '{"a": 1}'}, "must be a list"),
        ({"endings": ["runs.", " "], "label": 0}, "ending 1 is empty"),
        ({"endings": ["runs.", 7], "label": 0}, "ending 1 must be a text"),
        ({"endings": ["runs.", "runs."], "label": 0}, "two different choices"),
        ({"ctx": "  "}, "'ctx' is empty"),
        ({"ctx": "half \ud800"}, "surrogate"),
        ({"ctx": "nul \0"}, "NUL"),
    ],
)
def test_hellaswag_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MalformedRow, match=message):
        hellaswag.parse({**OFFICIAL, **change}, 0)


def test_truthfulqa_forms() -> None:
    question = truthfulqa.parse(TRUTH, 0)
    assert (question.text, question.answer) == ("What is it?", "Nothing.")
    assert sorted(question.choices) == ["A cat.", "Gold.", "Nothing."]
    hub = {"choices": ["Nothing.", "Gold.", "A cat."], "labels": [1, 0, 0]}
    assert truthfulqa.parse({**TRUTH, "mc1_targets": hub}, 0) == question
    arrow = {"Other.": None, **TRUTH["mc1_targets"]}  # type: ignore[dict-item]
    assert truthfulqa.parse({**TRUTH, "mc1_targets": arrow}, 0) == question
    sheet = {
        "Type": "Adversarial",
        "Category": "Misconceptions",
        "Question": "What is it?",
        "Best Answer": "Nothing.",
        "Incorrect Answers": "Gold.; A cat.; Gold.;",
    }
    read = truthfulqa.parse(sheet, 0)
    assert (read.id, read.choices) == (question.id, question.choices)
    assert (read.domain, read.meta) == ("Misconceptions", {"Type": "Adversarial"})


def test_truthfulqa_order_depends_on_question_and_seed_and_is_even() -> None:
    orders = {truthfulqa.parse(TRUTH, seed).choices for seed in range(40)}
    assert len(orders) == 6
    assert len({truthfulqa.parse(TRUTH, seed).id for seed in range(40)}) == 1
    places = Counter(
        truthfulqa.parse({**TRUTH, "question": f"What is {i}?"}, 0).answer_index for i in range(3000)
    )
    assert all(abs(places[place] - 1000) < 4 * (3000 * 2 / 9) ** 0.5 for place in range(3))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ({"a": 0, "b": 0}, "marks 0"),
        ({"a": 1, "b": 1}, "marks 2"),
        ({"a": 1}, "two different choices"),
        ({"a": 1, "b": 2}, "a 0 or a 1"),
        ({"choices": ["a", "b"], "labels": [1]}, "a 0 or a 1"),
        (["a"], "must be an object"),
        ({"a": 1, " a ": 0}, "also among the wrong"),
        ({"a": 1, "": 0}, "is empty"),
    ],
)
def test_truthfulqa_refuses(targets: Any, message: str) -> None:
    with pytest.raises(MalformedRow, match=message):
        truthfulqa.parse({"question": "q", "mc1_targets": targets}, 0)
