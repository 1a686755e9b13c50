"""What is drawn stands where the numbers say."""

from __future__ import annotations

import itertools
import json
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rlpersona.report import drawing, figures
from rlpersona.report.pool import Kind
from rlpersona.report.records import Round, Summary
from tests.unit.report.run_folders import interval, make_full_run, make_run, rounds, winner


def summary_of(folder: Path, **changes: Any) -> Summary:
    return Summary.model_validate(json.loads((make_run(folder) / "summary.json").read_text()) | changes)


def drawn(axes: Any, label: str) -> list[tuple[list[float], list[float]]]:
    """x and y of every line with this label."""
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in axes.get_lines()
        if line.get_label() == label
    ]


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_gains_are_drawn_where_the_summary_says(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run")
    random = [figures.RandomGain("A", 0.03), figures.RandomGain("B", -0.05)]
    (axes,) = figures.validated_gains(summary, random).axes
    gains = [one.gain for one in summary.winners] + [summary.random_gain]
    ends = [x for x, _ in drawn(axes, "interval")]
    assert ends == [pytest.approx([100 * gain.low, 100 * gain.high]) for gain in gains]
    centres = [x for x, _ in drawn(axes, "estimate")]
    assert centres == [pytest.approx([100 * gain.estimate]) for gain in gains]
    assert drawn(axes, "each random persona")[0][0] == pytest.approx([3.0, -5.0])
    rows = [y[0] for _, y in drawn(axes, "estimate")]
    assert rows == sorted(rows)
    assert axes.yaxis_inverted()
    verticals = [line.get_xdata()[0] for line in axes.get_lines() if list(line.get_ydata()) == [0, 1]]
    assert verticals == [0, pytest.approx(7.5)]
    assert "no persona" in texts(axes)
    assert "best by luck alone, in training: +7.5 pp" in texts(axes)
    assert "+17.0 pp [+12.5, +21.5]" in texts(axes)
    low, high = axes.get_xlim()
    assert low < -5
    assert high > 21.5


def test_prefixes_and_margin_stand_beside_the_gains(tmp_path: Path) -> None:
    content = json.loads((make_full_run(tmp_path / "run") / "summary.json").read_text())
    summary = Summary.model_validate(content)
    (axes,) = figures.validated_gains(summary).axes
    centres = [x[0] for x, _ in drawn(axes, "estimate")]
    assert centres == pytest.approx([17.0, 14.0, 6.0, 0.5, 1.0, 1.0])
    labels = [text for text in texts(axes) if "name" in text]
    assert labels == ["empty name", "nonsense names, together"]
    (band,) = axes.patches
    assert [band.get_x(), band.get_x() + band.get_width()] == pytest.approx([-3.0, 3.0])


def test_accuracies_stand_where_there_is_no_control(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run", control=None)
    (axes,) = figures.fresh_accuracies(summary).axes
    assert [x[0] for x, _ in drawn(axes, "estimate")] == pytest.approx([69.0, 66.0, 58.0, 53.0])
    assert not {"not measured", "no persona"} & set(texts(axes))
    # No line of the control, no room for its label.
    plain, labelled = figures.shrinkage(summary), figures.shrinkage(summary_of(tmp_path / "with"))
    assert labelled.get_size_inches()[1] - plain.get_size_inches()[1] == pytest.approx(0.35)


def test_unmeasured_gains_have_no_dot(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path / "run",
        winners=[winner("A", None), winner("B", 0.1)],
        random_gain=None,
        null_maximum=None,
    )
    (axes,) = figures.validated_gains(summary).axes
    assert len(drawn(axes, "estimate")) == len(drawn(axes, "interval")) == 1
    assert texts(axes).count("not measured") == 2


def test_shrinkage_shows_both_rewards_and_the_control(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run", winners=[winner("A", 0.1, 0.8), winner("B", 0.2, None)])
    (axes,) = figures.shrinkage(summary).axes
    assert [x for x, _ in drawn(axes, "training")] == [pytest.approx([80.0])]
    assert [x for x, _ in drawn(axes, "estimate")] == [pytest.approx([62.0]), pytest.approx([72.0])]
    assert [x for x, _ in drawn(axes, "interval")] == [pytest.approx([58, 66]), pytest.approx([68, 76])]
    assert {"80.0 % → 62.0 %", "not measured → 72.0 %", "no persona 52.0 %"} <= set(texts(axes))
    (band,) = axes.patches
    assert [band.get_x(), band.get_x() + band.get_width()] == pytest.approx([48.0, 56.0])


def test_composition_shows_pool_and_policy() -> None:
    kinds = [Kind("scholar", 30, 0.3, 0.9, 10, 0.7), Kind("layman", 70, 0.7, None, 10, None)]
    (axes,) = figures.policy_composition(kinds).axes
    assert [x for x, _ in drawn(axes, "pool")] == [pytest.approx([30.0]), pytest.approx([70.0])]
    assert [x for x, _ in drawn(axes, "policy")] == [pytest.approx([90.0])]
    assert {"scholar", "layman", "30.0 % → 90.0 %", "70.0 % → not measured"} <= set(texts(axes))


def test_learning_curve_has_rounds_mean_and_uniform_entropy() -> None:
    records = [Round.model_validate(one) for one in rounds(total=40, personas=200)]
    reward, entropy = figures.learning_curve(records, 200, "accuracy").axes
    ((x, y),) = drawn(reward, "rounds")
    assert x == list(range(1, 41))
    assert y == pytest.approx([100 * record.reward for record in records])
    ((_, nats),) = drawn(entropy, "entropy")
    assert nats == pytest.approx([record.entropy for record in records])
    ((_, uniform),) = drawn(entropy, "uniform")
    assert uniform == pytest.approx([math.log(200)] * 2)
    ((_, mean),) = drawn(reward, "moving mean")
    assert mean[20] == pytest.approx(np.mean(y[18:23]))
    assert reward.get_title(loc="left") == "mean accuracy in a round"


def test_the_band_of_the_mean_stays_a_share() -> None:
    records = [
        Round(round=number, rounds=6, reward=reward)
        for number, reward in enumerate((0.0, 1.0, 1.0, 1.0, 1.0, 1.0), start=1)
    ]
    (band,) = figures.learning_curve(records, 5).axes[0].collections
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min() >= 0, heights.max() <= 100) == (True, True)


def test_long_runs_are_drawn_in_blocks() -> None:
    records = [Round.model_validate(one) for one in rounds(total=5_000)]
    reward, entropy = figures.learning_curve(records, 200).axes
    ((x, y),) = drawn(reward, "rounds")
    assert len(x) == len(drawn(entropy, "entropy")[0][0]) == 385
    assert (x[0], y[0]) == pytest.approx((7.0, 100 * np.mean([one.reward for one in records[:13]])))


@pytest.mark.parametrize("total", [0, 1, 2, 3])
def test_short_and_unscored_runs_are_drawn(total: int) -> None:
    records = [Round.model_validate(one) for one in rounds(total=total, scored=False)]
    figure = figures.learning_curve(records, None)
    assert "not measured" in texts(figure.axes[0])
    assert ET.fromstring(drawing.svg(figure, "curve", "nothing")) is not None


@pytest.mark.parametrize("label", ["A", "Word " * 60, "Q" * 300, "日本語" * 40, "👩‍🔬" * 40])
def test_labels_are_whole_and_inside_the_figure(label: str) -> None:
    figure, axes, rows = drawing.row_axes([label, "B"], right=1.0, top=0.3)
    renderer = FigureCanvasAgg(figure).get_renderer()
    lines = texts(axes)
    assert "".join("".join(lines).split()) == "".join(f"{label}B".split())
    assert rows[0] < rows[1]
    if label.isascii():  # a measure of width needs the font's own glyphs
        boxes = [text.get_window_extent(renderer) for text in axes.texts]
        assert all(box.x0 >= 0 and box.y0 >= 0 for box in boxes)
        assert all(upper.y0 >= lower.y1 - 3 for upper, lower in itertools.pairwise(boxes))


def test_svg_is_well_formed_themed_and_the_same_twice(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run", winners=[winner('<b>&$x^2$ #0064a8 id="a"', 0.1)])
    first, second = (drawing.svg(figures.validated_gains(summary), "g", 'a "title"') for _ in range(2))
    assert first == second
    root = ET.fromstring(first)
    assert root.get("aria-label") == 'a "title"'
    written = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert '<b>&$x^2$ #0064a8 id="a"' in written  # no mathematics, no colours, no ids in a name
    assert "var(--accent, #0064a8)" in first
    tags = "".join(re.findall(r"<[^>]*>", first))
    assert not re.search(r"(?<!, )#(0064a8|1d2330|596273)", tags)
    ids = re.findall(r'\bid="([^"]*)"', tags)
    assert ids
    assert all(one.startswith("g-") for one in ids)
    assert {use[1:] for use in re.findall(r'href="([^"]*)"', tags)} <= set(ids)


def test_an_estimate_without_interval_is_a_dot(tmp_path: Path) -> None:
    lone = {**interval(0.6), "low": None, "high": None}
    summary = summary_of(tmp_path / "run", winners=[winner("A", 0.1) | {"accuracy": lone}])
    (axes,) = figures.shrinkage(summary).axes
    assert len(drawn(axes, "estimate")) == 1
    assert drawn(axes, "interval") == []
