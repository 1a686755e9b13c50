"""Pairs: distinct, blind to their writers, the same whatever the order of the answers."""

from __future__ import annotations

import random
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from rlpersona.preferences.pairs import Answer, Pair, fingerprint, make_pairs


@given(st.lists(st.text(max_size=4), max_size=6), st.integers(0, 20), st.randoms())
def test_pairs_of_any_answers(texts: list[str], n: int, shuffle: random.Random) -> None:
    answers = [Answer(text) for text in texts]
    pairs = make_pairs("Why?", answers, n)
    usable = {text for text in texts if text.strip()}
    assert len(pairs) == min(n, len(usable) * (len(usable) - 1) // 2)
    assert all(pair.a != pair.b and {pair.a, pair.b} <= usable for pair in pairs)
    assert len({pair.content for pair in pairs}) == len(pairs)
    shuffle.shuffle(answers)
    assert make_pairs("Why?", answers, n) == pairs


def test_neither_writer_nor_place_tells_which_is_a() -> None:
    first = 0
    for k in range(400):
        answers = [Answer(f"good {k}", "Curie"), Answer(f"bad {k}", "a liar")]
        (pair,) = make_pairs(f"Question {k}?", answers, 1)
        first += pair.writer_a == "Curie"
        assert {pair.writer_a, pair.writer_b} == {"Curie", "a liar"}
        assert (pair.a.startswith("good")) == (pair.writer_a == "Curie")
    assert 160 <= first <= 240, "about half: 4 standard deviations of 10"


def test_pairs_of_two_writers_come_first() -> None:
    answers = [Answer("x1", "X"), Answer("x2", "X"), Answer("y1", "Y")]
    for seed in range(20):
        pairs = make_pairs("Q", answers, 2, seed)
        assert all({pair.writer_a, pair.writer_b} == {"X", "Y"} for pair in pairs)
    assert len(make_pairs("Q", answers, 9)) == 3


def test_the_seed_decides_and_the_content_names() -> None:
    answers = [Answer(f"answer {k}") for k in range(5)]
    drawn = {tuple(pair.id for pair in make_pairs("Q", answers, 2, seed)) for seed in range(30)}
    assert len(drawn) > 10
    all_pairs = make_pairs("Q", answers, 99)
    assert {frozenset((p.a, p.b)) for p in all_pairs} == {
        frozenset(two) for two in combinations([a.text for a in answers], 2)
    }
    assert fingerprint(all_pairs) == fingerprint(all_pairs[::-1]) != fingerprint(all_pairs[:-1])
    assert Pair("1", "Q", "x", "y").content == Pair("2", "Q", "y", "x").content
    assert Pair("1", "Q", "x", "y").content != Pair("1", "Q!", "x", "y").content
