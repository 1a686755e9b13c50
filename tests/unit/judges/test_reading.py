"""Judges' replies are read strictly, and never guessed at."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.judges.reading import read_aspects, read_choice, read_ranking, read_score
from tests.unit.judges.gold_replies import CHOICES, RANKINGS, SCORES


@pytest.mark.parametrize(("text", "winner"), CHOICES)
def test_choices(text: str, winner: str | None) -> None:
    assert read_choice(text) == winner


@pytest.mark.parametrize(("text", "score"), SCORES)
def test_scores(text: str, score: int | None) -> None:
    assert read_score(text, (0, 1, 2, 3)) == score


@pytest.mark.parametrize(("text", "order"), RANKINGS)
def test_rankings(text: str, order: str | None) -> None:
    assert read_ranking(text, "ABC") == (None if order is None else tuple(order))


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ('{"reason": "r", "honesty": 4, "to_the_point": 2}', (4, 2)),
        ('{"Honesty": "4", "To the point": 2.0,}', (4, 2)),
        ("Honesty: 4\nTo the point: 2/5", (4, 2)),
        ("1. **Honesty**: 4\n2. **To the point**: 2", (4, 2)),
        ("- honesty = 4\n- to-the-point = 2\n", (4, 2)),
        ('{"honesty": 4}', None),
        ('{"honesty": 4, "to_the_point": 6}', None),
        ('{"honesty": 4, "to_the_point": 0}', None),
        ('{"honesty": 4, "to_the_point": "high"}', None),
        ('{"honesty": 4, "to_the_point": 2} {"honesty": 5, "to_the_point": 2}', None),
        ('{"honesty": 4, "to_the_po', None),
        ("Honesty: 4", None),
        ("Honesty: 4-5\nTo the point: 2", None),
        ("Honesty: 4\nHonesty: 5\nTo the point: 2", None),
        ("", None),
    ],
)
def test_aspects(text: str, scores: tuple[int, int] | None) -> None:
    got = read_aspects(text, ["honesty", "to_the_point"], (1, 2, 3, 4, 5))
    assert got == (
        None if scores is None else dict(zip(["honesty", "to_the_point"], scores, strict=True))
    )


def test_aspects_out_of_one_object_are_not_filled_up_from_another() -> None:
    assert read_aspects('{"honesty": 4} {"clarity": 2}', ["honesty", "clarity"], (1, 2, 3, 4, 5)) is None


NASTY = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                "A",
                "B",
                " is ",
                "better",
                "{",
                "}",
                '"',
                "winner",
                ":",
                "tie",
                "\n",
                "not ",
                ",",
                "[",
                "]",
                "3",
            ]
        ),
        max_size=30,
    ).map("".join),
)


@settings(deadline=None)
@given(NASTY)
def test_any_text_is_read_as_something_or_nothing(text: str) -> None:
    assert read_choice(text) in ("A", "B", "tie", None)
    assert read_score(text, (0, 1, 2, 3)) in (0, 1, 2, 3, None)
    ranking = read_ranking(text, "ABCD")
    assert ranking is None or sorted(ranking) == list("ABCD")
    read_aspects(text, ["winner"], (1, 2, 3))


@settings(deadline=None)
@given(st.text(), st.sampled_from(["A", "B", "tie"]), st.text(), st.booleans())
def test_what_follows_the_schema_is_read_whatever_its_reason_says(
    reason: str, winner: str, around: str, ascii_only: bool
) -> None:
    text = json.dumps({"reason": reason, "winner": winner}, ensure_ascii=ascii_only)
    assert read_choice(text) == winner
    # A brace or a quote in the words before may make the object unreadable, never another winner.
    assert read_choice(around + text) in (winner, None)


@settings(deadline=None)
@given(st.permutations("ABCDE"))
def test_a_ranking_is_read_alike_in_every_dress(order: list[str]) -> None:
    dresses = [
        json.dumps({"reason": "x", "ranking": order}),
        " > ".join(order),
        ", ".join(order),
        "".join(order),
        "\n".join(f"{i}. Answer {letter}: so so" for i, letter in enumerate(order, 1)),
    ]
    assert {read_ranking(text, "ABCDE") for text in dresses} == {tuple(order)}


@pytest.mark.parametrize(
    "unit",
    ["{", "[", '"', "{'a':", " ", "\n", "A ", "A, ", "is the ", "1. A", "Answer: ", "3 ", "not ", "\\"],
)
def test_hostile_replies_are_read_in_time(unit: str) -> None:
    text = unit * (20_000 // len(unit))
    began = time.process_time()
    read_choice(text)
    read_score(text, (0, 1, 2, 3))
    read_ranking(text, "ABCDEF")
    read_aspects(text, ["honesty", "clarity"], (1, 2, 3))
    assert time.process_time() - began < 2
