"""How numbers and foreign text are written."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from rlpersona.report import words
from rlpersona.report.data import Measured


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.6131, "61.3 %"), (0.0, "0.0 %"), (1.0, "100.0 %"), (0.0087, "0.87 %"), (0.0001, "0.010 %"),
        (1e-7, "1.0e-05 %"), (None, "not measured"),
    ],
)  # fmt: skip
def test_percent(share: float | None, text: str) -> None:
    assert words.percent(share) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.123, "+12.3 pp"), (-0.02, "-2.0 pp"), (-0.0001, "0.0 pp"), (None, "not measured")],
)
def test_points(difference: float | None, text: str) -> None:
    assert words.points(difference) == text


def test_intervals() -> None:
    assert words.share_interval(Measured(estimate=0.5, low=0.4, high=0.6)) == "50.0 % [40.0, 60.0]"
    assert words.gain_interval(Measured(estimate=0.1, low=-0.05, high=0.25)) == "+10.0 pp [-5.0, +25.0]"
    assert words.share_interval(Measured(estimate=0.5)) == "50.0 %"
    assert words.gain_interval(Measured(low=0.1, high=0.2)) == "not measured"
    assert Measured(estimate=float("nan")).estimate is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(14.2, "14 s"), (59.6, "1 min 00 s"), (125, "2 min 05 s"), (11_220, "3 h 07 min"), (-1, "0 s")],
)
def test_duration(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.001, "0.001"), (1.0, "1.000")])
def test_p_value(p: float, text: str) -> None:
    assert words.p_value(p) == text


@given(st.text())
def test_clean_text_cannot_act(text: str) -> None:
    shown = words.clean(text)
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    assert words.clean(shown) == shown
    assert words.ascii_text(shown).isascii()


@given(st.text(max_size=200), st.integers(8, 40))
def test_wrapping_keeps_everything(text: str, cells: int) -> None:
    text = words.clean(text)
    lines = words.wrap(text, cells)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(cell_len(line) <= cells for line in lines)


@given(st.text(max_size=80))
def test_shortened_text_fits(text: str) -> None:
    assert cell_len(words.shorten(words.clean(text), 20)) <= 20


def test_our_own_signs_survive_ascii() -> None:
    assert words.ascii_text("within ±3 – José’s 紫") == "within +-3 - Jose's \\u7d2b"


def test_wrap_prefers_spaces() -> None:
    assert words.wrap("Marie Curie of Warsaw", 12) == ["Marie Curie", "of Warsaw"]
    assert words.wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert words.wrap("", 4) == [""]


def test_blocks_keep_their_lines() -> None:
    assert words.clean_block("a:\r\n  b: 1\n\x1bc") == "a:\n  b: 1\n\ufffdc"
