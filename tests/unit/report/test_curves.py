"""Curves over the rounds beside the reward."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from rlpersona.report import curves, drawing
from rlpersona.report.records import Round


def rounds_of(*rows: dict[str, Any]) -> list[Round]:
    return [
        Round.model_validate({"round": number, "rounds": len(rows), **row})
        for number, row in enumerate(rows, start=1)
    ]


def lines(axes: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {
        line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()
    }


def test_transfer_has_a_panel_a_benchmark_on_the_rounds_it_was_measured() -> None:
    rounds = rounds_of(
        {"transfer": {"a": {"top": 0.5, "control": 0.4, "questions": 100}}},
        {},
        {"transfer": {"b $x$": {"top": None, "control": 0.1}, "a": {"top": 0.7, "control": 0.4}}},
        {"transfer": None},
    )
    assert curves.benchmarks_of(rounds) == ["a", "b $x$"]
    figure = curves.transfer_curves(rounds)
    first, second = figure.axes
    assert lines(first)["best personas of the policy"] == ([1, 3], pytest.approx([50.0, 70.0]))
    assert lines(first)["no persona"] == ([1, 3], pytest.approx([40.0, 40.0]))
    assert first.get_title(loc="left") == "accuracy on a, 100 questions"
    assert second.get_title(loc="left") == "accuracy on b $x$"
    assert ET.fromstring(drawing.svg(figure, "transfer", "t")) is not None


@pytest.mark.parametrize("shares", [(0.40, 0.41), (0.0, 0.0), (1.0, 1.0), (0.2, 0.9)])
def test_a_single_answer_is_no_slope(shares: tuple[float, float]) -> None:
    low, high = shares
    rounds = rounds_of(
        {"transfer": {"a": {"top": low, "control": low}}},
        {"transfer": {"a": {"top": high, "control": low}}},
    )
    bottom, top = curves.transfer_curves(rounds).axes[0].get_ylim()
    assert top - bottom >= curves.MIN_SPAN
    assert bottom < 100 * low
    assert top > 100 * high
    assert -1 <= bottom <= top <= 101


def test_many_benchmarks_stay_a_figure() -> None:
    names = {f"b{k}": {"top": 0.5, "control": 0.4} for k in range(30)}
    assert len(curves.transfer_curves(rounds_of({"transfer": names})).axes) == curves.MAX_PANELS


def test_groups_are_drawn_by_what_they_hold_at_the_end() -> None:
    first = {f"g{k}": 1 / 6 for k in range(6)}
    last = {f"g{k}": share for k, share in enumerate((0.0, 0.5, 0.01, 0.3, 0.1, 0.09))}
    (axes,) = curves.group_masses(rounds_of({"groups": first}, {}, {"groups": last})).axes
    assert list(lines(axes)) == ["g1", "g3", "g4", "g5"]
    assert lines(axes)["g1"] == ([1, 3], pytest.approx([100 / 6, 50.0]))
    assert curves.group_masses([]).axes
