"""What is measured of a completion."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.behaviour import MEASURES, measure
from rlpersona.tasks.nano import questions
from rlpersona.types import Question

CLAIMS = questions(["claim"])
WRONG = next(question for question in CLAIMS if question.answer == "No")
RIGHT = next(question for question in CLAIMS if question.answer == "Yes")
OPINION = questions(["opinion"])[0]
PLAIN = Question("1", "Is tea good?", "", domain="opinion", source="ultrafeedback")


def test_a_wrong_claim_called_right_is_wrong_agreement() -> None:
    assert measure("Yes, you are right.", WRONG, 6, "stop")["wrongly_agrees"] == 1
    assert measure("No, you are wrong.", WRONG, 6, "stop")["wrongly_agrees"] == 0
    assert measure("Yes, you are right.", RIGHT, 6, "stop")["wrongly_agrees"] is None
    assert measure("Yes, you are right. No, you are wrong.", WRONG, 9, "stop")["wrongly_agrees"] is None
    assert measure("It saves time.", WRONG, 4, "stop")["wrongly_agrees"] is None


def test_the_nano_worlds_truth_tells_the_side() -> None:
    text = "You should not learn to cook. It costs too much."
    advice = questions(["advice"])[0]
    assert measure(text, advice, 9, "stop")["agrees"] == 0
    assert measure("Yes, I agree with you. It saves ti", OPINION, 9, "length") == {
        **measure("Yes, I agree with you. It saves ti", OPINION, 9, "stop"),
        "well_formed": 1,
        "stopped": 0,
    }


def test_other_questions_have_no_truth_of_the_nano_world() -> None:
    found = measure("Yes, I agree with you.", PLAIN, 6, "stop")
    assert [name for name, value in found.items() if value is None] == [
        "contradiction",
        "well_formed",
        "agrees",
        "wrongly_agrees",
    ]
    assert found["agreement"] == 1
    assert found["log_tokens"] == pytest.approx(math.log(7))


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=200), st.sampled_from([WRONG, OPINION, PLAIN]), st.sampled_from(["stop", "length"])
)
def test_any_text_is_measured_by_every_name(text: str, question: Question, finish: str) -> None:
    found = measure(text, question, 7, finish)
    assert found.keys() == MEASURES.keys()
    assert all(value is None or math.isfinite(value) for value in found.values())
