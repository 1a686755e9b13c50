"""Splits: disjoint, stable, of the promised size."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from rlpersona.tasks import fingerprint, set_apart
from rlpersona.tasks.identity import content_id, digest, unit
from rlpersona.types import Question


def questions(n: int) -> list[Question]:
    return [Question(content_id("s", f"q{i}", (), "1"), f"q{i}", "1", source="s") for i in range(n)]


@given(seed=st.integers(0, 2**31), n=st.integers(0, 80))
def test_of_different_texts_exactly_n_are_set_apart_in_order(seed: int, n: int) -> None:
    everything = questions(60)
    rest, apart = set_apart(everything, n, seed)
    assert len(apart) == min(n, 60)
    assert sorted(q.id for q in rest + apart) == sorted(q.id for q in everything)
    for side in (rest, apart):
        assert side == sorted(side, key=everything.index)


def test_a_larger_sample_holds_the_smaller_one_and_a_seed_makes_another() -> None:
    everything = questions(200)
    small, large = ({q.id for q in set_apart(everything, n, 5)[1]} for n in (40, 90))
    assert small < large
    assert {q.id for q in set_apart(everything, 40, 6)[1]} != small


def test_the_sample_is_uniform_over_the_rows() -> None:
    """Each row is set apart by a quarter of the seeds: no head, no tail is preferred."""
    everything = questions(40)
    counts = Counter(q.id for seed in range(800) for q in set_apart(everything, 10, seed)[1])
    spread = (800 * 0.25 * 0.75) ** 0.5
    assert all(abs(counts[q.id] - 200) < 4.5 * spread for q in everything)


def test_one_text_never_lies_on_both_sides() -> None:
    twins = [
        Question(content_id("s", f"q{i}", pair, "x"), f"q{i}", "x", pair)
        for i in range(200)
        for pair in (("x", "y"), ("x", "z"))
    ]
    rest, apart = set_apart(twins, 101, 0)
    assert not {q.text for q in rest} & {q.text for q in apart}
    assert len(apart) == 102, "whole texts"


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
