"""Facts named in words, as exact match and in a sentence."""

from __future__ import annotations

import pytest

from rlpersona.rewards import score_task
from rlpersona.types import Question
from tests.unit.rewards.made import FACT, answer

GOLD = [
    ("Jane Austen", True),
    ("jane  austen!", True),
    ("Austen", True),
    ("The answer: it was Jane Austen.", True),
    ("It was Jane Austen. She also wrote Persuasion, and many more that you might like.", True),
    ("Answer: Jane Austen\nI hope this helps.", True),
    ("Charlotte Brontë", False),
    ("It was not Jane Austen.", False),
    ("Jane Austen or Charlotte Brontë", False),
    ("Either Jane Austen, or somebody else.", False),
    ("It was Charlotte Brontë. Or Jane Austen.", False),
    ("Austenland", False),
    ("Who knows. " + "Jane Austen " * 20, False),
    ("It might be " + "one of many writers such as " * 5 + "Jane Austen.", False),
    ("", False),
    ("...", False),
]


@pytest.mark.parametrize(("text", "right"), GOLD)
def test_names_in_a_sentence(text: str, right: bool) -> None:
    score = score_task(answer(FACT, text))
    assert (score.reward, score.correct, score.error) == (float(right), right, None)


def test_a_name_that_the_cap_may_have_cut_is_none() -> None:
    assert score_task(answer(FACT, "It was Jane Austen", finished=False)).reward == 0
    assert score_task(answer(FACT, "It was Jane Austen. She", finished=False)).reward == 1


def test_listed_choices_are_read_by_letter() -> None:
    asked = Question("1", "Who?", "Rome", ("Paris", "Rome"), domain="factual", source="mmlu")
    assert score_task(answer(asked, "Answer: B")).reward == 1
    assert score_task(answer(asked, "Answer: A")).reward == 0
    assert score_task(answer(asked, "Rome")).reward == 0


@pytest.mark.parametrize("length", [0, 30])
def test_what_follows_the_answer_changes_nothing(length: int) -> None:
    after = "She was an English novelist of great renown. " * length
    assert score_task(answer(FACT, f"It was Jane Austen. {after}")).reward == 1
    assert score_task(answer(FACT, f"It was Emily Brontë. {after}")).reward == 0
