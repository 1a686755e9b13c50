"""The lines that an era x content experiment prints."""

from __future__ import annotations

from typing import Any

from rlpersona.report.temporal import effect_words, p_words, temporal_lines

EFFECT = {"estimate": 0.041, "low": 0.012, "high": 0.07, "level": 0.95, "p": 0.0061, "df": 30.2}
SHARE = {**EFFECT, "estimate": 0.6, "low": 0.55, "high": 0.65}
EFFECTS = dict.fromkeys(("interaction", "era", "era_modern", "era_timeless", "content"), EFFECT)


def summary(**more: Any) -> dict[str, Any]:
    cells = [
        {"era": era, "kind": kind, "accuracy": SHARE, "answer_rate": SHARE, "conditional": None}
        for era in ("earlier", "modern")
        for kind in ("timeless", "modern")
    ]
    return {
        "verdict": "It is so.",
        "model": "nano",
        "benchmark": "nano",
        "personas": {"earlier": 6, "modern": 7},
        "questions": {"timeless": 30, "modern": 20},
        "evaluations": 1300,
        "cells": cells,
        "effects": {"accuracy": EFFECTS},
        "fame": {"difference": 0.1, "interaction": EFFECT, "era": EFFECT},
        "pairs": {"pairs": 5, "difference": 0.0, "interaction": EFFECT, "era": EFFECT},
        "raters": ["one.csv", "two.csv"],
        "agreement": [
            {
                "raters": ["one.csv", "two.csv"],
                "share": {**SHARE, "estimate": 0.94, "n": 500},
                "kappa": {**SHARE, "estimate": 0.82, "low": 0.76, "high": 0.88},
            }
        ],
        "questions_disputed": 30,
        **more,
    }


def test_everything_is_said_once() -> None:
    lines = temporal_lines(summary())
    assert lines[0] == "It is so."
    text = "\n".join(lines)
    assert "7 people of modern and 6 of earlier eras, 20 modern and 30 timeless questions" in text
    assert text.count("60.0 % [55.0, 65.0]") == 4
    assert text.count("+4.1 points") == 7
    assert "within 5 matched pairs" in text
    assert "kappa 0.82 [0.76, 0.88], alike on 94.0 % of 500." in text
    assert "disputed: 30" in text
    assert "answers given" not in text, "nobody abstained"


def test_what_was_not_measured_is_a_dash() -> None:
    missing = dict.fromkeys(EFFECTS)
    told = summary(
        effects={"accuracy": missing, "answer_rate": missing, "conditional": missing},
        fame=None,
        pairs=None,
        agreement=[],
        raters=["domain"],
    )
    text = "\n".join(temporal_lines(told))
    assert "Differences in answers given" in text
    assert "Fame is not known" in text
    assert "Labels by one rater: domain." in text
    assert effect_words(None) == ["-", "", ""]


def test_a_terminal_is_not_driven_by_names() -> None:
    text = "\n".join(temporal_lines(summary(verdict="\x1b[31mred", benchmark="a\nb")))
    assert "\x1b" not in text
    assert "nano on a b" in text


def test_p_values() -> None:
    assert [p_words(p) for p in (0.0004, 0.0123, 1.0)] == ["< .001", "= .012", "= 1.000"]
