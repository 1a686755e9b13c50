"""A packed sweep end to end, as a person runs it: what it leaves is what an unpacked one leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from rlpersona.commands.sweep import sweep_config
from rlpersona.config import ModelConfig
from rlpersona.experiments.dose.sweep import load_sweep, train
from rlpersona.models.hf import HFModel
from rlpersona.runtime.session import ray_session
from rlpersona.store import opened
from rlpersona.types import Prompt, Sampling
from tests.smoke.test_sweep import SETTINGS, swept
from tests.support import Finished, rlpersona


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return swept(tmp_path_factory.mktemp("packed"), "packed=3", "readout.every=1")


def test_every_condition_has_the_files_of_a_training_of_its_own(packed: Finished) -> None:
    table = pd.read_parquet(packed.folder / "conditions.parquet")
    assert (table["status"] == "done").all()
    for name in table["id"].unique():
        folder = packed.folder / "conditions" / name
        rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [0, 1, 2]
        assert json.loads((folder / "done.json").read_text())["packed"] == 3
        assert {path.name for path in folder.iterdir()} >= {"adapter", "config.yaml", "steps"}
        assert {path.name for path in (folder / "adapter").iterdir()} == {
            "adapter_config.json",
            "adapter_model.safetensors",
            "lineage.json",
        }


def test_all_is_read_out_and_reported(packed: Finished) -> None:
    readout = pd.read_parquet(packed.folder / "readout.parquet")
    assert (readout.groupby("condition")["step"].unique().map(sorted) == [[0, 1, 2]] * 6).all()
    summary = json.loads((packed.folder / "summary.json").read_text())
    assert summary["design"]["conditions"] == 6
    assert summary["design"]["failed"] == []
    assert (packed.folder / "report.html").read_text().startswith("<!")
    assert not list(packed.folder.glob("**/checkpoints")), "no optimizer state is left behind"


def test_tune_has_a_trial_of_each(packed: Finished) -> None:
    trials = {path.name for path in (packed.folder / "tune").iterdir() if path.is_dir()}
    assert trials >= {path.name for path in (packed.folder / "conditions").iterdir()}


def test_an_adapter_of_a_pack_answers_in_the_engine(packed: Finished) -> None:
    adapters = sorted(packed.folder.glob("conditions/*/adapter"))
    model = HFModel(ModelConfig(device="cpu"))
    asked = [Prompt.ask("What is 2 + 2?")]
    for adapter in adapters:
        (said,) = model.generate(asked, Sampling(8), str(adapter))
        assert said.token_ids


def test_what_cannot_be_packed_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    done = rlpersona("sweep", *SETTINGS, "packed=true", "recipe.full=true", cwd=tmp_path)
    assert done.returncode == 2
    assert "recipe.full=true trains all weights" in done.stderr
    assert not (tmp_path / "runs" / "small").exists()


def test_a_condition_that_diverges_is_parked_tried_alone_and_kept_as_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [one for one in SETTINGS if not one.startswith(("bias", "seeds"))]
    doses = ["bias_weights=[0,1,1e30]", "seeds=[1]", "packed=3", "retries=0"]
    config = sweep_config((*settings, *doses))
    with opened(tmp_path, config) as run, ray_session(cpus=2):
        table = train(config, load_sweep(config), run).set_index("bias_weight")
    assert "was parked and is trained alone: grad_norm is" in capsys.readouterr().err
    assert table["status"].to_dict() == {0: "done", 1: "done", 1e30: "failed"}
    assert "at step 1" in table["error"][1e30]
