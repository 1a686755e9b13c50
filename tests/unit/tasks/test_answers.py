"""Strict extraction: the gold table, and properties over wild inputs."""

from __future__ import annotations

import importlib.util
import string
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.tasks.answers import extract_letter, extract_number, parse_number, same_number
from rlpersona.tasks.numbers import canonical

_spec = importlib.util.spec_from_file_location(
    "gold_answers", Path(__file__).with_name("gold_answers.py")
)
assert _spec is not None
assert _spec.loader is not None
gold = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gold)

DECIMALS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=3)


@pytest.mark.parametrize(("text", "expected"), gold.NUMBERS)
def test_gold_numbers(text: str, expected: str | None) -> None:
    assert extract_number(text) == expected


@pytest.mark.parametrize(("text", "expected"), gold.LETTERS)
def test_gold_letters(text: str, expected: str | None) -> None:
    assert extract_letter(text) == expected


@pytest.mark.parametrize(("text", "expected"), gold.FIVE_LETTERS)
def test_gold_letters_of_five(text: str, expected: str | None) -> None:
    assert extract_letter(text, "ABCDE") == expected


def test_the_gold_tables_are_large_and_have_no_repeats() -> None:
    assert len(gold.NUMBERS) >= 60
    assert len({text for text, _ in gold.NUMBERS}) == len(gold.NUMBERS)
    assert len({text for text, _ in gold.LETTERS}) == len(gold.LETTERS) >= 50


@given(DECIMALS, st.sampled_from(["#### {}", "\\boxed{{{}}}", "The answer is {}.", "so 3 + 4 gives {}"]))
def test_a_written_number_is_read_back(value: Decimal, frame: str) -> None:
    for written in (f"{value:f}", f"{value:,f}"):
        read = extract_number(frame.format(written))
        assert read is not None
        assert Fraction(read) == Fraction(value)


@given(st.fractions(max_denominator=10**6))
def test_canonical_is_exact_and_stable(value: Fraction) -> None:
    written = canonical(value)
    assert Fraction(written) == value
    assert parse_number(written) == written
    assert "." not in written or not written.endswith("0")


@given(st.text(alphabet=st.sampled_from("0123456789,.-+$ /#:^xeE()\n{}\\answeri boxd"), max_size=60))
def test_whatever_is_read_is_one_canonical_number(text: str) -> None:
    read = extract_number(text)
    if read is not None:
        assert parse_number(read) == read
        assert canonical(Fraction(read)) == read


@given(st.text(max_size=200))
def test_marked_numbers_are_a_part_of_all_numbers(text: str) -> None:
    marked = extract_number(text, explicit=True)
    assert marked is None or marked == extract_number(text)


@given(st.integers(-999, 999), st.integers(-999, 999))
def test_same_number_is_equality(a: int, b: int) -> None:
    assert same_number(str(a), f"{b}.0") is (a == b)


def test_same_number_refuses_what_is_not_a_number() -> None:
    assert same_number("$1,080", "1080.00")
    assert same_number("0.5", "1/2")
    assert not same_number("0.333", "1/3")
    assert not same_number("", "")
    assert not same_number("five", "five")


@given(st.text(alphabet=string.ascii_lowercase + " \n", max_size=80))
def test_prose_without_marks_names_no_letter(text: str) -> None:
    assert extract_letter(text) is None


@given(st.sampled_from("ABCD"), st.text(alphabet=string.ascii_lowercase + " ", max_size=40))
def test_a_stated_letter_is_read(letter: str, prose: str) -> None:
    assert extract_letter(f"{prose}\nThe answer is ({letter}).") == letter


def test_only_the_letters_that_were_offered_count() -> None:
    assert extract_letter("(E)") is None
    assert extract_letter("(E)", "ABCDE") == "E"
    assert extract_letter("Answer: I", "ABCDEFGHI") == "I"
    assert extract_letter("Answer: I think so", "ABCDEFGHI") is None
    assert extract_letter("A cat", "A") is None


@pytest.mark.parametrize("letters", ["", "abcd", "AAB", "A-C"])
def test_letters_must_be_different_capitals(letters: str) -> None:
    with pytest.raises(ValueError, match="capitals"):
        extract_letter("A", letters)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1,",
        "1/",
        "answer:" + " " * 5000,
        "answer is ",
        "answer is about ",
        "#### 1. A",
        "\\boxed{",
        "A ",
    ],
)
def test_long_texts_take_no_time(text: str) -> None:
    began = time.perf_counter()
    extract_number(text * (20_000 // len(text)))
    extract_letter(text * (20_000 // len(text)))
    assert time.perf_counter() - began < 2
