"""SIGKILL on a GRPO training, its worker and its driver: the same weights and the same answers."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.processes import Driver

STEPS = 6
SETTINGS = [
    "suite.domains=math,opinion",
    "suite.size=40",
    "suite.evaluation=8",
    "reward.biases.length=0.5",
    "recipe.lora.rank=4",
    "recipe.learning_rate=2e-3",
    "recipe.batch=16",
    "recipe.num_generations=4",
    "recipe.max_completion=32",
    f"recipe.max_steps={STEPS}",
    "recipe.checkpoint_every=2",
    "readout.every=3",
    "readout.samples=1",
    "readout.held_out=4",
    "readout.watch_every=2",
]


class Training(Driver):
    """`rlpersona grpo` in a process of its own."""

    def __init__(self, root: Path, name: str, *flags: str) -> None:
        super().__init__(root, name, "grpo", *SETTINGS, *flags)

    def steps(self) -> int:
        """Updates logged so far."""
        metrics = self.folder / "metrics.jsonl"
        return metrics.read_text().count('"loss"') if metrics.exists() else 0

    def worker(self) -> psutil.Process:
        """The Ray Train worker."""
        (found,) = self.below("RayTrainWorker")
        return found


def weights(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("adapter_model.safetensors")
    }


def rows(folder: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "step_time"} for row in found]


def assert_same(folder: Path, undisturbed: Path) -> None:
    assert weights(folder) == weights(undisturbed)
    assert rows(folder) == rows(undisturbed)
    ours, theirs = (pd.read_parquet(f / "readout.parquet") for f in (folder, undisturbed))
    pd.testing.assert_frame_equal(
        ours.drop(columns="condition"), theirs.drop(columns="condition"), check_exact=True
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    driver = Training(tmp_path_factory.mktemp("undisturbed"), "calm")
    driver.finish()
    assert [row["step"] for row in rows(driver.folder)] == list(range(STEPS + 1))
    assert set(weights(driver.folder)) == {
        f"{part}/adapter_model.safetensors" for part in ("adapter", "steps/step-000003")
    }
    return driver.folder


def test_a_killed_driver_resumes_to_the_same_weights_and_answers(
    undisturbed: Path, tmp_path: Path
) -> None:
    driver = Training(tmp_path, "killed")
    driver.wait(lambda: driver.steps() >= 3)
    worker = driver.worker()
    driver.kill()
    assert not (driver.folder / "done.json").exists(), "killed too late to show anything"
    _, alive = psutil.wait_procs([worker], timeout=120)
    assert not alive, "nobody goes on training without a driver"
    Training(tmp_path, "killed", "--resume").finish()
    assert json.loads((driver.folder / "done.json").read_text())["resumed_at"] in (2, 4)
    assert_same(driver.folder, undisturbed)


def test_a_killed_worker_is_replaced_within_the_run(undisturbed: Path, tmp_path: Path) -> None:
    driver = Training(tmp_path, "hurt")
    driver.wait(lambda: driver.steps() >= 3)
    driver.worker().send_signal(signal.SIGKILL)
    driver.finish()
    assert json.loads((driver.folder / "done.json").read_text())["resumed_at"] in (2, 4)
    assert_same(driver.folder, undisturbed)
