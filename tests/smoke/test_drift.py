"""Drift end to end: a checkpoint that is the base, and one trained under random reward."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pandas as pd
import pytest
import yaml

from rlpersona.config import (
    AxisConfig,
    DriftConfig,
    GRPOConfig,
    GRPORecipe,
    ModelConfig,
    ReadoutConfig,
    RewardConfig,
    SuiteConfig,
)
from rlpersona.errors import ConfigError, RunChangedError
from rlpersona.experiments.axis.pipeline import run_axis
from rlpersona.experiments.dose.grpo import train_logged
from rlpersona.experiments.drift.drift import config_for, run_drift
from rlpersona.models import nano
from rlpersona.models.lineage import Lineage, base_hash, write_lineage
from rlpersona.report.drift import write_drift
from rlpersona.report.drift_table import print_drift
from rlpersona.runtime.session import ray_session
from rlpersona.store import Run
from rlpersona.tasks.suite import load_suite
from rlpersona.training.checkpoints import LocalCheckpoints
from tests.support import ROOT

BOOKS = ("04_axis_during_rl", "05_axis_after_rl")
ROLES = ("Isaac Newton", "Pinocchio", "a poet")
GRPO = GRPOConfig(
    name="random",
    suite=SuiteConfig(domains=("opinion",), size=16, evaluation=8),
    reward=RewardConfig(biases={"length": 1.0}, control="random-reward"),
    recipe=GRPORecipe(
        batch=8,
        num_generations=4,
        max_completion=24,
        max_steps=2,
        learning_rate=1e-3,
        checkpoint_every=2,
    ),
    readout=ReadoutConfig(every=1, held_out=0, max_tokens=24, samples=1),
)


def null_run(root: Path) -> None:
    """A training whose only checkpoint is an adapter that changes nothing: LoRA before any step."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    run = Run(root / "null")
    run.write_text("config.yaml", yaml.safe_dump(GRPO.model_dump(mode="json") | {"name": "null"}))
    net = AutoModelForCausalLM.from_pretrained(nano.path())
    adapter = get_peft_model(net, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapter.save_pretrained(run.folder / "adapter")
    write_lineage(run.folder / "adapter", Lineage("nano", base_hash("nano")))
    run.write_text("metrics.jsonl", '{"step": 2, "total": 0.5}\n')
    run.write_text("done.json", "{}")


def random_run(root: Path) -> None:
    """GRPO under random reward, in this process."""
    run, suite = Run(root / "random"), load_suite(GRPO.suite, GRPO.seed)
    run.write_text("config.yaml", yaml.safe_dump(GRPO.model_dump(mode="json")))
    train_logged(GRPO, suite.train, (), run.folder, LocalCheckpoints(run.folder / "checkpoints"))
    run.write_text("done.json", "{}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An axis run, the two trainings, and one measurement of both."""
    folder = tmp_path_factory.mktemp("runs")
    null_run(folder)
    random_run(folder)
    with ray_session():
        axis = AxisConfig(
            question_limit=8,
            prompts_per_role=1,
            max_tokens=24,
            keep=0,
            least=4,
            only=ROLES,
            traits="none",
        )
        run_axis(axis, folder)
        run_drift(measurement(folder), folder)
        write_drift(folder / "drift")
        yield folder


def measurement(root: Path, **changes: Any) -> DriftConfig:
    config = config_for("random", root)
    found = {"name": "drift", "controls": ("null",), "samples": 1, "max_tokens": 24, "resamples": 200}
    return config.model_copy(update=found | changes)


def test_a_checkpoint_equal_to_the_base_shows_no_drift_at_all(root: Path) -> None:
    table = pd.read_parquet(root / "drift" / "drift.parquet")
    mine = table[table["run"] == "null"]
    assert set(mine["text"]) == {"base", "own"}
    assert (mine["drift"] == 0).all()
    assert len(mine) == 2 * 4 * 2 * 4 * 8, "texts, layers, axes, roles and default, questions"
    summary = json.loads((root / "drift" / "summary.json").read_text())
    for one in summary["checkpoints"]:
        if one["run"] == "null":
            assert one["rotation"]["estimate"] == 1
            assert {layer["cka"] for layer in one["by_layer"]} == {1}


def test_random_reward_moves_the_model_no_further_than_along_random_directions(root: Path) -> None:
    summary = json.loads((root / "drift" / "summary.json").read_text())
    points = [one for one in summary["checkpoints"] if (one["run"], one["step"]) == ("random", 2)]
    assert {one["text"] for one in points} == {"base", "own"}
    for one in points:
        moved, control = one["default"]["frozen"], one["control"]["personas"]
        assert one["by_layer"][summary["layer"]]["length"] > 0, "it did move"
        assert moved["low"] <= control["high"]
        assert moved["high"] >= control["low"]
    assert summary["verdict"].startswith("No movement along the Assistant Axis beyond")


def test_every_checkpoint_is_there_on_either_text_and_resumes_to_itself(root: Path) -> None:
    run = root / "drift"
    table = pd.read_parquet(run / "drift.parquet")
    steps = table.groupby(["run", "condition", "text"], observed=True)["step"].unique().map(sorted)
    assert steps["random", "random", "own"] == [1, 2]
    assert steps["random", "base", "base"] == [0]
    before = {name: (run / name).read_bytes() for name in ("summary.json", "report.html")}
    (run / "summary.json").unlink()
    run_drift(measurement(root), root, resume=True)
    write_drift(run)
    assert {name: (run / name).read_bytes() for name in before} == before
    with pytest.raises(RunChangedError, match="samples"):
        run_drift(measurement(root, samples=2), root, resume=True)


def test_the_result_is_printed_and_shown(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = json.loads((root / "drift" / "summary.json").read_text())
    print_drift(summary)
    assert summary["verdict"].split(":")[0] in capsys.readouterr().out
    page = (root / "drift" / "report.html").read_text()
    assert page.startswith("<!")
    assert page.count("<svg") >= 6
    assert "http://" not in page.replace("http://www.w3.org/", "")


def test_another_base_is_refused(root: Path, tmp_path: Path) -> None:
    other = nano.path()
    copy = tmp_path / "other"
    copy.mkdir()
    for file in other.iterdir():
        content = file.read_bytes()
        copy.joinpath(file.name).write_bytes(
            content[:-1] + b"\x00" if file.suffix == ".safetensors" else content
        )
    with pytest.raises(ConfigError, match="has other weights than the base of 'random'"):
        run_drift(measurement(root, name="wrong", model=ModelConfig(name=str(copy))), root)
    assert not (root / "wrong").exists()


def test_the_notebooks_read_a_finished_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPERSONA_RUN", str(root / "drift"))
    books = [nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4) for name in BOOKS]
    both = books[0]
    both.cells += books[1].cells  # one kernel: starting it takes longer than the work
    assert all(not cell.get("outputs") for cell in both.cells), "notebooks are kept without results"
    nbclient.NotebookClient(both, timeout=300, kernel_name="python3").execute()
    outputs = [output for cell in both.cells for output in cell.get("outputs", [])]
    pictures = [one["data"].get("text/html", "") for one in outputs if "data" in one]
    assert sum("<svg" in picture for picture in pictures) == 9
    printed = "".join(output.get("text", "") for output in outputs)
    assert printed.count("No movement along the Assistant Axis beyond") == 2
    assert "This run has nothing to draw for: traits." in printed
