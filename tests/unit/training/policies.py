"""Small GRPO trainings on the nano world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlpersona.config import GRPOConfig
from rlpersona.tasks.suite import load_suite
from rlpersona.training import LocalCheckpoints
from rlpersona.training.grpo import GRPOJob, train_grpo
from tests.unit.training.stages import NANO

Rows = list[dict[str, float]]
RECIPE: dict[str, Any] = {
    "lora": {"rank": 4, "alpha": 8},
    "learning_rate": 2e-3,
    "batch": 16,
    "num_generations": 4,
    "max_completion": 32,
    "max_steps": 3,
}


def grpo_job(
    out: Path, seed: int = 0, *, reward: Any = (), readout: Any = (), suite: Any = (), **recipe: Any
) -> GRPOJob:
    config = GRPOConfig(
        seed=seed,
        suite={"domains": ("math", "opinion"), "size": 40, "evaluation": 16, **dict(suite)},
        reward=dict(reward),
        readout={"held_out": 0, **dict(readout)},
        recipe=RECIPE | recipe,
    )
    suite = load_suite(config.suite, 0)
    return GRPOJob(config, NANO, suite.train, suite.held_out, out)


def trained(job: GRPOJob, checkpoints: Any = None) -> tuple[dict[str, Any], Rows]:
    """The measures of a training, and its rows."""
    rows: Rows = []
    measures = train_grpo(job, checkpoints or LocalCheckpoints(job.out / "checkpoints"), rows.append)
    return measures, rows
