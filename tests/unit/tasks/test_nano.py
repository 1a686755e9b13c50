"""Nano questions as a benchmark."""

from __future__ import annotations

from typing import Any

import pytest

from rlpersona.errors import ConfigError
from rlpersona.tasks.nano import questions


def test_questions_are_distinct_by_text_and_by_id() -> None:
    asked = questions(("math", "word", "fact", "claim", "compare"), per_domain=3000)
    assert len({q.text for q in asked}) == len({q.id for q in asked}) == len(asked)


def test_there_are_thousands_of_questions_of_reckoning() -> None:
    assert len(questions(("math", "word"))) > 5000


def test_ids_depend_on_the_content_and_not_on_the_company() -> None:
    alone = {q.text: q.id for q in questions(("fact",))}
    together = {q.text: q.id for q in questions(("math", "fact")) if q.domain == "fact"}
    assert alone == together
    by_text = {q.text: q for q in questions(("math",))}
    assert by_text["What is 1 + 2?"].id == "250d456112832e7e"


def test_a_question_carries_what_scoring_needs() -> None:
    question = next(q for q in questions(("fact",)) if q.text == "Tell me the capital of Cuba.")
    assert question.answer == "Havana"
    assert question.choices[question.answer_index] == "Havana"
    assert (question.cue, question.source, question.domain) == ("It is", "nano", "fact")
    assert question.meta["mistake"] in question.choices


def test_open_questions_have_no_choices() -> None:
    for question in questions(("advice", "opinion", "persuade", "who")):
        assert question.choices == ()
        assert question.answer == ""


def test_splits_share_nothing() -> None:
    domains = ("math", "word", "fact", "claim", "compare", "opinion")
    train = {q.text for q in questions(domains)}
    heldout = {q.text for q in questions(domains, split="heldout")}
    assert heldout
    assert not train & heldout


def test_a_domain_named_twice_is_asked_once() -> None:
    assert questions(("math", "math")) == questions(("math",))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"domains": ("maths",)}, "no domain 'maths'"),
        ({"split": "test"}, "no split 'test'"),
        ({"per_domain": 0}, "per_domain is 0"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        questions(**arguments)
