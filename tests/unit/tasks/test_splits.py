"""Splits: disjoint, stable, of the promised size."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, DataError
from rlpersona.tasks import fingerprint, split
from rlpersona.tasks.identity import content_id, digest, unit
from rlpersona.tasks.splits import set_apart
from rlpersona.types import Question


def questions(n: int) -> list[Question]:
    return [Question(content_id("s", f"q{i}", (), "1"), f"q{i}", "1", source="s") for i in range(n)]


@given(seed=st.integers(0, 2**31), n=st.integers(60, 120))
def test_parts_cover_everything_once_and_keep_the_order(seed: int, n: int) -> None:
    everything = questions(n)
    parts = split(everything, {"a": 0.5, "b": 0.3, "c": 0.2}, seed)
    merged = [question for part in parts.values() for question in part]
    assert sorted(q.id for q in merged) == sorted(q.id for q in everything)
    for part in parts.values():
        assert part == sorted(part, key=everything.index)


def test_adding_or_shuffling_rows_moves_nothing() -> None:
    few, many = questions(300), questions(1000)
    random.Random(0).shuffle(many)
    before, after = (split(rows, {"train": 0.7, "fresh": 0.3}, 5) for rows in (few, many))
    assert {q.id for q in before["train"]} <= {q.id for q in after["train"]}
    assert {q.id for q in before["fresh"]} <= {q.id for q in after["fresh"]}
    assert split(few, {"train": 0.7, "fresh": 0.3}, 6)["train"] != before["train"]


def test_sizes_are_binomial_and_the_rest_is_left_out() -> None:
    parts = split(questions(10_000), {"a": 0.2, "b": 0.1}, 0)
    assert abs(len(parts["a"]) - 2000) < 4 * (10_000 * 0.2 * 0.8) ** 0.5
    assert abs(len(parts["b"]) - 1000) < 4 * (10_000 * 0.1 * 0.9) ** 0.5


def test_one_text_never_lies_on_both_sides() -> None:
    twins = [
        Question(content_id("s", f"q{i}", pair, "x"), f"q{i}", "x", pair)
        for i in range(200)
        for pair in (("x", "y"), ("x", "z"))
    ]
    parts = split(twins, {"a": 0.5, "b": 0.5}, 0)
    assert not {q.text for q in parts["a"]} & {q.text for q in parts["b"]}


@pytest.mark.parametrize(
    "fractions", [{}, {"a": 0.0}, {"a": -0.5}, {"a": 0.7, "b": 0.4}, {"a": float("nan")}]
)
def test_fractions_that_cannot_be(fractions: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="fractions"):
        split(questions(10), fractions, 0)


def test_a_part_without_questions_is_refused() -> None:
    with pytest.raises(DataError, match=r"part 'b' \(0.01\) got none of 3"):
        split(questions(3), {"a": 0.99, "b": 0.01}, 0)


def test_fingerprint_is_of_the_set() -> None:
    some = questions(5)
    assert fingerprint(some) == fingerprint(reversed(some))
    assert fingerprint(some) != fingerprint(questions(6))
    assert len(fingerprint(some)) == 64


def test_ids_are_fixed_for_ever() -> None:
    # Recorded runs and resumes stand on these; a change of the recipe shows here.
    assert content_id("s", "text", ("b", "a"), "a") == content_id("s", "text", ("a", "b"), "a")
    assert content_id("s", "text", ("b", "a"), "a") == "2ab7165c17723997"
    assert digest("ab", "c") != digest("a", "bc")
    assert content_id("s", "é\u2028", (), "1") != content_id("s", "e\u2028", (), "1")


def test_unit_is_uniform() -> None:
    draws = sorted(unit("x", i) for i in range(4000))
    assert 0 <= draws[0] <= draws[-1] < 1
    gap = max(abs(draw - i / 4000) for i, draw in enumerate(draws))
    assert gap < 1.63 / 4000**0.5  # Kolmogorov-Smirnov at 1 %


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60), st.integers(1, 20), st.integers(0, 3))
def test_set_apart_is_disjoint_complete_and_blind_to_order(texts: list[int], n: int, seed: int) -> None:
    questions = [Question(str(k), f"text {text}", "a") for k, text in enumerate(texts)]
    rest, apart = set_apart(questions, n, seed)
    assert sorted(q.id for q in rest + apart) == sorted(q.id for q in questions)
    assert not {q.text for q in rest} & {q.text for q in apart}
    assert len(apart) >= min(n, len(questions))
    again = set_apart(questions[::-1], n, seed)[1]
    assert {q.id for q in again} == {q.id for q in apart}
