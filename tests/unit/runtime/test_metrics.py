"""Metrics without a Ray: free, well named, and with few labels."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from rlpersona.experiments.tracking.gauges import Gauges
from rlpersona.experiments.tracking.rows import Update
from rlpersona.runtime import metrics

UNIT = re.compile(r"_(dollars|ratio)$")


def test_where_no_ray_runs_nothing_is_imported_or_recorded() -> None:
    code = (
        "import sys; from rlpersona.runtime import metrics;"
        "metrics.record(metrics.LOSS, 1.0, part='');"
        "assert not {'ray', 'torch'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_labels_that_a_metric_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="rlpersona_loss"):
        metrics.record(metrics.LOSS, 1.0, part="", persona="Ada")
    with pytest.raises(ValueError, match="rlpersona_loss"):
        metrics.record(metrics.LOSS, 1.0)


def test_names_are_those_of_prometheus() -> None:
    """https://prometheus.io/docs/practices/naming: a prefix, base units, _total for counters only."""
    assert len({metric.name for metric in metrics.ALL}) == len(metrics.ALL)
    for metric in metrics.ALL:
        assert re.fullmatch(r"rlpersona(_[a-z]+)+", metric.name)
        assert metric.exported.endswith("_total") == (metric.kind == "counter")
        assert not metric.name.endswith("_total")
        assert metric.text
    assert [metric.name for metric in metrics.ALL if UNIT.search(metric.name)] == [
        "rlpersona_unscored_ratio",
        "rlpersona_effective_dose_ratio",
        "rlpersona_judge_cost_dollars",
    ]


def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, dict[str, str]]]:
    found: list[tuple[str, float, dict[str, str]]] = []

    def record(metric: metrics.Metric, value: float, **tags: str) -> None:
        assert {*tags, "run"} == {*metric.tags, "run"}
        found.append((metric.name, value, tags))

    monkeypatch.setattr(metrics, "record", record)
    return found


def test_a_step_of_a_training_is_counted_once_though_its_file_is_read_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = told(monkeypatch)
    rows = [{"step": step, "loss": 0.5, "length": 10.0, "total": step / 4} for step in range(4)]
    gauges = Gauges("run", completions=16)
    gauges.show("conditions/ab", tmp_path, Update(rows[:3], anew=True, fresh=3))
    gauges.show("conditions/ab", tmp_path, Update(rows, anew=True, fresh=1))
    counted = [value for name, value, _ in found if name == "rlpersona_completions"]
    assert counted == [16, 16, 16], "three steps; the look before the first is none"
    assert sum(value for name, value, _ in found if name == "rlpersona_tokens") == 480
    assert [value for name, value, _ in found if name == "rlpersona_reward"] == [0.5, 0.75]


def test_a_row_becomes_doses_by_domain_and_places_along_directions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = told(monkeypatch)
    row = {
        "step": 2,
        "unscored": 0.25,
        "effective_dose": 0.5,
        "math/effective_dose": 0.75,
        "held_out/task": 0.1,
        "drift/axis/base_text": -1.5,
        "drift/trait truth/batch_text": 0.5,
    }
    Gauges("r").show("stages/rlhf", tmp_path, Update([row], anew=False, fresh=1))
    common = {"run": "r", "part": "stages/rlhf"}
    assert ("rlpersona_effective_dose_ratio", 0.5, {**common, "domain": "all"}) in found
    assert ("rlpersona_effective_dose_ratio", 0.75, {**common, "domain": "math"}) in found
    axis = {**common, "direction": "axis", "text": "base_text"}
    trait = {**common, "direction": "trait truth", "text": "batch_text"}
    assert [one for one in found if one[0] == "rlpersona_persona_projection"] == [
        ("rlpersona_persona_projection", -1.5, axis),
        ("rlpersona_persona_projection", 0.5, trait),
    ]
    assert ("rlpersona_unscored_ratio", 0.25, common) in found
    assert ("rlpersona_task_score", 0.1, {**common, "text": "held_out"}) in found


def test_a_search_that_earned_nothing_has_no_reward_and_not_the_reward_zero(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = told(monkeypatch)
    row = {"round": 1, "reward": None, "evaluations": 8, "unscored": 8}
    Gauges("r").show("", tmp_path, Update([row], anew=False, fresh=1))
    assert {name: value for name, value, _ in found} == {
        "rlpersona_step": 1,
        "rlpersona_unscored_ratio": 1.0,
    }
