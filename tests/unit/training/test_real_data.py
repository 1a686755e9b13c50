"""Real data through loading, validation and two steps of training on the embedded model."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from rlpersona.config import ModelConfig
from rlpersona.config.stages import DataConfig
from rlpersona.config.training import DPORecipe, LoraConfig, SFTRecipe
from rlpersona.models import nano
from rlpersona.models.encode import Encoder
from rlpersona.preferences.sources import Rows, read_rows
from rlpersona.training import LocalCheckpoints, Start, TrainingJob
from rlpersona.training.dpo import train_dpo
from rlpersona.training.sft import train_sft

WINDOW = 512  # of the embedded model
SMALL: dict[str, Any] = {
    "max_steps": 2,
    "batch": 4,
    "learning_rate": 1e-3,
    "schedule": "constant",
    "lora": LoraConfig(rank=4, alpha=8),
}


def loaded(source: str, path: Path, kind: str, limit: int) -> Rows:
    """Rows that fit the model, and the count of those that do not."""
    config = DataConfig(source=source, path=str(path), bad_rows="quarantine", limit=limit)  # type: ignore[arg-type]
    encoder = Encoder(AutoTokenizer.from_pretrained(nano.path()), WINDOW)
    return read_rows(config, kind=kind, encoder=encoder)  # type: ignore[arg-type]


def trained(rows: Rows, recipe: SFTRecipe | DPORecipe, folder: Path) -> dict[str, Any]:
    """Two steps from the embedded model; the last measures and each step's."""
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.rows))
    start = Start(ModelConfig(name="nano", device="cpu"))
    job = TrainingJob("stage", start, recipe, file, folder / "out", seed=0)
    train = train_dpo if isinstance(recipe, DPORecipe) else train_sft
    steps: list[dict[str, float]] = []
    found = train(job, LocalCheckpoints(folder / "checkpoints"), steps.append)
    assert (folder / "out" / "adapter" / "adapter_model.safetensors").is_file()
    assert found["steps"] == 2
    assert all(math.isfinite(step["loss"]) for step in steps)
    return {**found, "losses": [step["loss"] for step in steps]}


@pytest.mark.parametrize(
    ("source", "file", "too_long"),
    [
        ("hh_rlhf", "hh_rlhf/harmless-base_test.jsonl.gz", 414),
        ("ultrafeedback", "ultrafeedback/train_clean.jsonl.gz", 688),
    ],
)
def test_pairs_are_loaded_checked_and_trained_on(
    shared_data: Path, tmp_path: Path, source: str, file: str, too_long: int
) -> None:
    rows = loaded(source, shared_data / file, "pairs", limit=16)
    assert rows.counts["too long"] == too_long
    found = trained(rows, DPORecipe(**SMALL), tmp_path)
    # Loading counts tokens as training does: nothing that passed is left out there.
    assert (found["rows"], found["rows_too_long"]) == (16, 0)
    assert found["losses"][0] == pytest.approx(math.log(2), abs=1e-4), "nothing is preferred before"
    assert found["losses"][1] != pytest.approx(math.log(2), abs=1e-6)


def test_dialogues_are_loaded_checked_and_trained_on(shared_data: Path, tmp_path: Path) -> None:
    whole = shared_data / "persuasionforgood" / "full_dialog.csv.gz"
    path = tmp_path / "first.csv"
    path.write_text("".join(gzip.decompress(whole.read_bytes()).decode().splitlines(True)[:1001]))
    rows = loaded("persuasionforgood", path, "completions", limit=16)
    assert rows.counts["too long"] > 100, "counted, as histories grow over the window"
    found = trained(rows, SFTRecipe(**SMALL), tmp_path)
    assert (found["rows"], found["rows_too_long"]) == (16, 0)
    assert found["losses"][0] > 0
