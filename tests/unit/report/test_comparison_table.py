"""Runs beside each other, as printed."""

from __future__ import annotations

import io
from typing import Any

import pytest

from rlpersona.report.comparison import SHOWN, pair_lines, print_comparison


class Utf8(io.StringIO):
    encoding = "utf-8"


@pytest.fixture(autouse=True)
def _utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


def interval(estimate: float, half: float, n: int = 400) -> dict[str, Any]:
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half, "n": n, "level": 0.95}


def compared(first: float, second: float, paired: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "first": first,
        "second": second,
        "difference": interval(first - second, 0.03),
        "p": 0.0004,
        "paired": paired,
        **more,
    }


def row(name: str, gain: float | None) -> dict[str, Any]:
    return {
        "run": name,
        "model": "nano",
        "benchmark": "nano",
        "algorithm": "halving",
        "personas": 2174,
        "evaluations": 5000,
        "winner": None if gain is None else "José 紫",
        "gain": None if gain is None else interval(gain, 0.045),
        "significant": False,
    }


def result(**changes: Any) -> dict[str, Any]:
    means = {"spearman": interval(0.4, 0.1), "kendall": 0.28, "ceiling": 0.8, "disattenuated": 0.5}
    pair: dict[str, Any] = {
        "runs": ["small", "large"],
        "notes": ["different models: nano and big"],
        "personas": 2174,
        "evaluated": 1800,
        "overlap": {"top": 10, "shared": ["Ada"], "expected": 0.0556, "p": 0.054},
        "means": means,
        "shrunk": None,
        "distribution": {
            "total_variation": 0.31,
            "jensen_shannon": 0.12,
            "from_uniform": [0.3, 0.281],
            "mass": [1.0, 1.0],
        },
        "leaders": {"personas": ["Ada", "Zed"], "same": False, **compared(0.12, 0.02, paired=False)},
        "same": [],
        "gains": [{"persona": f"P{k}", "p_holm": 0.01, **compared(0.1, 0.04)} for k in range(13)],
        **changes,
    }
    return {"level": 0.95, "top": 10, "runs": [row("small", 0.12), row("large", None)], "pairs": [pair]}


def printed(found: dict[str, Any]) -> str:
    out = Utf8()
    print_comparison(found, out)
    return out.getvalue()


def test_every_number_is_there() -> None:
    text = " ".join(printed(result()).split())
    for said in (
        "small nano nano halving 2,174 5,000 José 紫 +12.0 pp [+7.5, +16.5]",
        "large nano nano halving 2,174 5,000 nobody not measured",
        "Note: different models: nano and big.",
        "2,174 in common, 1,800 evaluated in both",
        "Top 10: 1 shared, 0.056 expected by chance (p = 0.054): Ada.",
        "Spearman +0.40 [+0.30, +0.50], Kendall +0.28, n = 400",
        "lets equal truths reach 0.80, which makes it +0.50 without noise",
        "total variation 0.310 between them (0.300 and 0.281 from uniform)",
        "Ada +12.0 pp, Zed +2.0 pp; difference +10.0 pp [+7.0, +13.0] (p < 0.001, unpaired)",
        "P0 +10.0 pp +4.0 pp +6.0 pp [+3.0, +9.0] 0.010 paired",
        f"and {13 - SHOWN} more",
    ):
        assert said in text
    assert f"P{SHOWN}" not in text
    assert "\x1b" not in text


def test_what_is_missing_is_left_out() -> None:
    nothing = dict.fromkeys(("overlap", "means", "distribution", "leaders"))
    pair = result(**nothing, gains=[], notes=[])["pairs"][0]
    assert list(pair_lines(pair)) == ["Personas: 2,174 in common, 1,800 evaluated in both."]
    assert "design" not in printed(result(**nothing, gains=[]))


def test_the_same_answers_are_named_instead_of_compared() -> None:
    leaders = {"personas": ["Ada", "Ada"], "same": True, **compared(0.12, 0.12)}
    pair = result(leaders=leaders, same=[f"S{k}" for k in range(12)])["pairs"][0]
    lines = list(pair_lines(pair))
    assert "First choices: Ada +12.0 pp in both, with the same answers." in lines
    names = ", ".join(f"S{k}" for k in range(SHOWN))
    assert lines[-1] == f"Same answers to the same questions: {names} and 2 more."


def test_noise_that_hides_everything_is_said() -> None:
    means = result()["pairs"][0]["means"]
    noisy = printed(result(means=means | {"ceiling": 0.1, "disattenuated": None}))
    assert "reach 0.10: too noisy to judge by" in noisy
    silent = printed(result(means=means | {"ceiling": None, "disattenuated": None}))
    assert "equal truths" not in silent


def test_ascii_where_nothing_else_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    text = printed(result())
    assert text.isascii()
    assert "Jose" in text
