"""Final answers of math questions: a gold table, and what no text may do."""

from __future__ import annotations

from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.rewards import score_task
from rlpersona.rewards.tasks.mathematics import same_expression
from rlpersona.types import Question
from tests.unit.rewards.gold_math import EXPRESSIONS, NUMBERS
from tests.unit.rewards.made import answer


def asked(gold: str) -> Question:
    return Question("m", "How many?", gold, domain="math", source="file")


@pytest.mark.parametrize(("gold", "text", "finished", "right"), NUMBERS)
def test_numbers(gold: str, text: str, finished: bool, right: bool) -> None:
    score = score_task(answer(asked(gold), text, finished=finished))
    assert (score.reward, score.correct, score.error) == (float(right), right, None)


@pytest.mark.parametrize(("gold", "text", "right"), EXPRESSIONS)
def test_expressions_by_math_verify(gold: str, text: str, right: bool) -> None:
    assert score_task(answer(asked(gold), text)).reward == float(right)


def test_math_verify_works_in_a_thread() -> None:
    found: list[bool | None] = []
    thread = Thread(target=lambda: found.append(same_expression("\\sqrt{8}", "2\\sqrt{2}")))
    thread.start()
    thread.join()
    assert found == [True]


@pytest.mark.parametrize("gold", ["", "9^{9^{9}}"])
def test_gold_that_cannot_be_read_is_said(gold: str) -> None:
    score = score_task(answer(asked(gold), "\\boxed{1}"))
    assert score.reward is None
    assert score.error


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="0123456789+-*/^{}()\\sqrtfacx=, ", max_size=40))
def test_no_expression_raises(text: str) -> None:
    score = score_task(answer(asked("\\sqrt{2}"), f"\\boxed{{{text}}}"))
    assert score.reward in (0, 1)
