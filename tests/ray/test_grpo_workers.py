"""Two workers train one policy (DDP over gloo): each writes and scores half of the completions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rlpersona.experiments.dose.grpo import train_logged
from rlpersona.runtime.train import train_folders
from rlpersona.store import Run
from tests.unit.training.policies import grpo_job
from tests.unit.training.stages import weights


def test_two_workers_train_one_policy(tmp_path: Path) -> None:
    readout = {"held_out": 4, "watch_every": 2, "every": 2}
    job = grpo_job(
        tmp_path / "out", readout=readout, batch=8, max_steps=4, workers=2, checkpoint_every=2, beta=0.1
    )
    work = partial(train_logged, job.config, job.train, job.held_out, job.out)
    measures: dict[str, Any] = train_folders(work, tmp_path / "checkpoints", workers=2)
    assert measures["steps"] == 4

    rows = Run(job.out).metrics()
    assert [row["step"] for row in rows] == [0, 1, 2, 3, 4], "one of the two reports, and all of it"
    for row in rows[1:]:
        # Two groups a step: one of sums for the first worker, one of opinions for the second.
        for key in ("task", "length", "entropy", "kl"):
            ours = [row[f"{domain}/{key}"] for domain in ("math", "opinion") if f"{domain}/{key}" in row]
            assert len(ours) == 2, key
        assert row["length"] == (row["math/length"] + row["opinion/length"]) / 2
    assert rows[0]["held_out/kl"] == 0
    assert rows[4]["held_out/kl"] > 0, "the policy of the worker that looks has been trained"
    assert {"math/held_out/task", "opinion/held_out/task"} <= set(rows[4])

    trained = weights(job.out / "adapter")
    moved = [name for name, value in trained.items() if "lora_B" in name and bool(value.any())]
    assert len(moved) == len(trained) / 2
    assert weights(job.out / "steps/step-000002").keys() == trained.keys()
