"""Page, table and figures of a measurement of drift, of a sweep with trainings under random reward."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from rlpersona.axis.vectors import pca
from rlpersona.config import DriftConfig
from rlpersona.errors import RunError
from rlpersona.experiments.drift.checkpoints import Checkpoint, Training
from rlpersona.experiments.drift.measures import measure
from rlpersona.experiments.drift.summary import correlations, groups, verdict
from rlpersona.report import drawing
from rlpersona.report.drift import write_drift
from rlpersona.report.drift_figures import figures_of
from rlpersona.report.drift_records import label_of, read_drift_run
from rlpersona.report.drift_table import print_drift
from rlpersona.store import Run
from tests.unit.experiments.test_drift import WIDTH, kept, yardstick

ROLES = [
    "default",
    "<script>alert(1)</script>",
    "a $poet$",
    "ثعلب",
    "a soldier",
    "a very long name " * 6,
]
QUESTIONS = [f"q{at}" for at in range(6)]
STEPS = (2, 4, 6, 8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_drift(tmp_path_factory.mktemp("drift") / "swept")


def make_drift(folder: Path, recompute: bool = True) -> Path:
    """The folder of a measurement; the biased trainings are moved along the axis, the others not."""
    draw = np.random.default_rng(0)
    base = draw.normal(0, 1, (3, len(ROLES), 1, WIDTH))
    base = (base + draw.normal(0, 0.3, (3, len(ROLES), len(QUESTIONS), WIDTH))).astype(np.float32)
    yard = yardstick(base)
    components = pca(yard.roles, yard.layer)
    config = DriftConfig(name=folder.name, of="lengths", resamples=100, recompute=recompute)
    along = yard.direction / np.linalg.norm(yard.direction, axis=-1, keepdims=True)
    run = Run(folder)
    trainings, points, places = [], [], []
    for control in ("none", "random-reward"):
        for seed in (1, 2):
            name = f"{control}-{seed}"
            factors = {"bias": "length", "bias_weight": 1.0, "control": control, "scaling": "none"}
            folded = run.folder / "logs" / name
            rows = [{"step": step, "total": 0.1 * step} for step in range(9)]
            Run(folded).write_text("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            marks = tuple(
                Checkpoint("lengths", name, s, None, ({**factors, "seed": seed},)) for s in STEPS
            )
            trainings.append(Training("lengths", name, folded, marks))
            for step in STEPS:
                about: dict[str, Any] = {"run": "lengths", "condition": name, "step": step}
                shift = -0.3 * step * along if control == "none" else 0
                noise = draw.normal(0, 0.05, (3, 1, 1, WIDTH))
                moved = base + (np.zeros((3, WIDTH)) + shift)[:, None, None] + noise
                for text in ("base", "own"):
                    cells = kept(folder / "cells", "base", base), kept(folder / "cells", "now", moved)
                    read = measure(*cells, ROLES, QUESTIONS, yard, components, config)
                    points.append({**about, "text": text, **read.summary})
                    places.append(read.places.assign(**about, text=text))
    summary = {
        "experiment": "drift",
        "run": folder.name,
        "of": "lengths",
        "axis": "axis",
        "controls": [],
        "model": "nano",
        "level": 0.95,
        "layer": yard.layer,
        "layers": 3,
        "unit": 1.5,
        "roles": len(ROLES) - 1,
        "questions": len(QUESTIONS),
        "answers": 36,
        "traits": ["first"],
        "variance_share": [float(share) for share in components.variance_share],
        "axis_on_components": [0.5, -0.2],
        "checkpoints": points,
        "correlations": correlations(trainings, points),
        "groups": groups(trainings, points, 0.95),
        "conditions": [
            {"run": "lengths", "condition": one.condition, "factors": list(one.checkpoints[-1].factors)}
            for one in trainings
        ],
    }
    run.write_json("summary.json", {**summary, "verdict": verdict(summary)})
    run.write_table("places.parquet", pd.concat(places, ignore_index=True))
    return folder


def test_the_page_says_what_was_found_and_acts_on_no_name(folder: Path) -> None:
    page = write_drift(folder).read_text(encoding="utf-8")
    assert "The model moved away from the assistant" in page
    assert "length 1, random-reward, seed 2" in page
    assert "<script" not in page
    assert page.count("<svg") == 10
    for picture in page.split("<svg")[1:]:
        ElementTree.fromstring("<svg" + picture.split("</svg>")[0] + "</svg>")
    first = (folder / "report.html").read_bytes()
    assert write_drift(folder).read_bytes() == first


def test_the_biased_trainings_differ_from_those_under_random_reward(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    own = {one["control"]: one for one in summary["groups"] if one["text"] == "own"}
    assert own["none"]["trainings"] == 2
    assert own["none"]["beyond_random"]["high"] < 0
    assert own["random-reward"]["beyond_random"] is None
    assert {one["rho"] for one in summary["correlations"] if one["condition"] == "none-1"} == {-1.0}


def test_a_run_without_its_own_axes_is_shown_without_rotation(tmp_path: Path) -> None:
    bare = make_drift(tmp_path / "bare", recompute=False)
    assert "Does the axis itself turn?" not in write_drift(bare).read_text(encoding="utf-8")
    assert "rotation" not in figures_of(read_drift_run(bare))


def test_the_table_fits_any_stream(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_drift(summary, stream)
    stream.seek(0)
    printed = stream.read()
    assert "The model moved away from the assistant" in printed
    # Of many checkpoints the last of each training is shown.
    rows = [line for line in printed.splitlines() if line.startswith("|") and "the base's" in line]
    assert len(rows) == 4


def test_figures_are_the_same_for_the_same_run(folder: Path) -> None:
    twice = [
        {name: drawing.svg(figure, name, told) for name, (figure, told) in figures.items()}
        for figures in (figures_of(read_drift_run(folder)) for _ in range(2))
    ]
    assert twice[0] == twice[1]


def test_what_is_no_measurement_is_refused(tmp_path: Path, folder: Path) -> None:
    other = Run(tmp_path / "other")
    other.write_json("summary.json", {"experiment": "grpo"})
    with pytest.raises(RunError, match="no measurement of drift"):
        read_drift_run(other.folder)
    other.write_json("summary.json", {"experiment": "drift", "of": "x"})
    with pytest.raises(RunError, match="cannot be read"):
        read_drift_run(other.folder)


def test_trainings_are_called_by_what_sets_them_apart() -> None:
    summary = {"of": "mine", "conditions": [{"run": "sft", "condition": "sft", "factors": []}]}
    assert label_of(summary, ("mine", "mine")) == "mine"
    assert label_of(summary, ("sft", "sft")) == "sft"
    assert label_of(summary, ("staged", "sft-rlhf")) == "staged: sft-rlhf"
