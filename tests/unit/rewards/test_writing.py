"""Answers without a right one: checks that length does not help pass."""

from __future__ import annotations

import pytest

from rlpersona.rewards.tasks.writing import quality, score
from tests.unit.rewards.made import ADVICE, answer

GOOD = "Yes, the violin rewards patience. Find a teacher, and practise a little each day."
MORE = (
    "Rent an instrument first, since a cheap one costs more in the end. Adults learn the left hand "
    "slowly, yet they hear well. Playing with others keeps you going. Expect a year before it sounds "
    "like music, and do not compare yourself with children. Scales are dull but they pay."
)


def failed(text: str, finished: bool = True) -> set[str]:
    return {
        name for name, passed in quality(answer(ADVICE, text, finished=finished)).items() if not passed
    }


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        (GOOD, set()),
        ("", {"well formed", "on subject", "says something", "no loops"}),
        ("Yes.", {"on subject", "says something"}),
        ("You should eat more fruit and drink water.", {"on subject"}),
        ("Learning the violin is fun and you will", {"well formed"}),
        ("Violin violin violin violin violin violin violin violin.", {"says something", "no loops"}),
        ("The violin is a fine choice. " * 3, {"no loops"}),
        ("violin @@@ ### 123 {} <> 456 789 a b c d e.", {"well formed"}),
    ],
)
def test_each_check(text: str, fails: set[str]) -> None:
    assert failed(text) == fails
    assert score(answer(ADVICE, text)).reward == 1 - len(fails) / 4


def test_a_text_that_the_cap_cut_need_not_end() -> None:
    assert failed("Learning the violin is fun and you will", finished=False) == set()


def test_five_times_as_long_is_no_better() -> None:
    assert score(answer(ADVICE, GOOD)).reward == score(answer(ADVICE, f"{GOOD} {MORE}")).reward == 1
