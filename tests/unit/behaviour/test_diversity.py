"""Repetition and diversity: by hand."""

from __future__ import annotations

import pytest

from rlpersona.behaviour import distinct_n, repetition, self_overlap


def test_distinct_n_counts_sequences_once() -> None:
    assert distinct_n(["a b c", "a b d"], 2) == 3 / 4
    assert distinct_n(["a b c", "a b d"], 1) == 4 / 6
    assert distinct_n(["a b"] * 10, 2) == 1 / 10
    assert distinct_n(["", "word"], 2) is None


def test_overlap_of_samples() -> None:
    assert self_overlap(["a b c", "a b c"]) == 1
    assert self_overlap(["a b c", "d e f"]) == 0
    assert self_overlap(["a b c", "a b d"]) == pytest.approx(1 / 3)
    assert self_overlap(["a b c", "a b c", "d e f"]) == pytest.approx(1 / 3)
    assert self_overlap(["Yes.", "No."]) == 0
    assert self_overlap(["Yes.", "yes"]) == 1
    assert self_overlap(["alone"]) is None


def test_repetition_of_a_loop() -> None:
    assert repetition("one two three") == 0
    assert repetition("a b c d e f g h") == 0
    assert repetition("a b c d " * 5) == pytest.approx(1 - 4 / 17)
