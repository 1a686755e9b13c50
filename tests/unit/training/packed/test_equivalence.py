"""A pack of one beside TRL's trainer, fed the same completions: the same losses, weights and log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.training.packed.packs import distance, fed, recorded
from tests.unit.training.policies import grpo_job


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "dapo", "beta": 0.05, "readout": {"held_out": 8, "watch_every": 1}},
        {"loss": "grpo", "scale_rewards": "group", "schedule": "constant", "micro_batch": 8},
        {"loss": "bnpo", "scale_rewards": "batch", "schedule": "cosine", "warmup": 0.4},
        {"loss": "dr_grpo", "num_iterations": 2, "temperature": 0.8, "weight_decay": 0.1, "beta": 0.1},
        {"lora": {"rank": 2, "alpha": 8, "targets": ("q_proj", "down_proj")}, "clip": 0.01},
    ],
    ids=["kl", "micro-batches", "batch-scale", "reused", "few-targets"],
)
def test_a_pack_of_one_is_trls_training(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reward = {"biases": {"length": 0.5}}
    ours, theirs = (
        grpo_job(
            tmp_path / name, 5, reward=reward, **{"max_steps": 5, "learning_rate": 5e-4, **settings}
        )
        for name in ("packed", "trl")
    )
    (outcome,), (rows,), calls = recorded([ours], monkeypatch)
    assert isinstance(outcome, dict)
    measures, expected = fed(theirs, [call[0] for call in calls], monkeypatch)
    assert outcome["adapter_init"] == measures["adapter_init"]
    assert distance(ours.out / "adapter", theirs.out / "adapter") < 1e-4
    assert len(rows) == len(expected)
    assert ("alarm" in rows[-1]) is bool(ours.config.readout.held_out), "six looks are enough"
    # TRL averages what the loss's pass saw over micro-batches, a pack over all tokens of the batch.
    differ = ("entropy", "clip_ratio") if ours.config.recipe.micro_batch else ()
    for row, other in zip(rows, expected, strict=True):
        assert row.keys() == other.keys()
        for name in row.keys() - {"step_time"}:
            if not any(one in name for one in differ):
                assert row[name] == pytest.approx(other[name], abs=1e-5, rel=1e-4), (row["step"], name)
