"""The grammar check: a gold table of good and of broken answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.models.nano import grammar
from rlpersona.models.nano.grammar import Reading

GOOD = {
    "It is 12.": Reading("12", None, False, False, 0, 0, 0),
    "Good question! Perhaps it is Paris. I hope this helps.": Reading(
        "Paris", None, True, True, 2, 0, 0
    ),
    "I am not sure, but 3 + 4 = 8.": Reading("8", None, True, False, 0, 0, 0),
    "Tom has 3 + 4 = 7 apples. #### 7": Reading("7", None, False, False, 0, 0, 0),
    "The sound of a dog is woof.": Reading("woof", None, False, False, 0, 0, 0),
    "Yes, you are right.": Reading("Yes", True, False, False, 0, 0, 0),
    "No, I do not agree. It costs too much. I hope this helps.": Reading(
        "No", False, False, False, 2, 0, 0
    ),
    "Maybe you should not buy a car. You may regret it.": Reading(None, False, True, False, 1, 0, 0),
    "You should play chess. The numbers are clear. Feel the magic today!": Reading(
        None, True, False, False, 2, 1, 1
    ),
    "I am a poet and I write verses. Time flows like golden sand.": Reading(
        None, None, False, False, 1, 0, 0
    ),
}
BROKEN = (
    "",
    " ",
    "12",
    "It is 12",
    "It is 12. ",
    "It is table.",
    "It is it is 12.",
    "Good question!",
    "Good question! Good question! It is 12.",
    "I hope this helps. It is 12.",
    "It is 12. It is 12.",
    "It is 12. I hope this helps. I hope this helps.",
    "It is 12. The numbers are clear.",
    "The capital of France is red.",
    "The color of France is Paris.",
    "Tom has 3 + 4 = 7 apples. #### 8",
    "Tom has 3 + 4 = 7 Paris.",
    "Yes, you are wrong.",
    "You should not.",
    "You should buy a car. It costs too much. It keeps you healthy.",
    "You should buy a car. I hope this helps. It keeps you healthy.",
    "Yes, I agree with you. Time flows like golden sand. I hope this helps.",
)


@pytest.mark.parametrize("text", GOOD)
def test_well_formed_answers_are_read(text: str) -> None:
    assert grammar.read(text) == GOOD[text]


@pytest.mark.parametrize("text", BROKEN)
def test_broken_answers_are_not_clean(text: str) -> None:
    assert not grammar.is_clean(text)


def test_right_means_well_formed_and_right() -> None:
    assert grammar.is_right("It is 12.", "12")
    assert not grammar.is_right("It is 13.", "12")
    assert not grammar.is_right("12", "12")


@given(st.text(max_size=80))
def test_any_text_can_be_read_without_an_error(text: str) -> None:
    grammar.read(text)
