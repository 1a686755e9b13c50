"""SIGKILL in the second stage, of its Train worker and then of the driver: the same weights come out."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pandas as pd
import psutil

from tests.support import wait_until

SETTINGS = [
    "graph=sft -> dpo",
    "prompt_limit=12",
    "evaluation.samples=1",
    "evaluation.max_tokens=48",
    *("stages.sft.recipe.max_steps=4", "stages.sft.recipe.learning_rate=1e-3"),
    *("stages.sft.data.answers=4", "stages.dpo.data.answers=6", "stages.dpo.data.pairs_per_prompt=6"),
    *("stages.dpo.recipe.max_steps=40", "stages.dpo.recipe.learning_rate=1e-3"),
    *("stages.dpo.recipe.batch=4", "stages.dpo.recipe.checkpoint_every=4"),
]


class Driver:
    """`rlpersona dpo` in a process of its own."""

    def __init__(self, root: Path, name: str, *flags: str) -> None:
        self.folder = root / name
        self.log = root / f"{name}.log"
        command = [sys.executable, "-m", "rlpersona.cli", "dpo", *SETTINGS, f"name={name}", *flags]
        with self.log.open("a") as log:
            self.process = psutil.Popen([*command, "--runs", str(root)], stdout=log, stderr=log)

    def steps(self) -> list[int]:
        """Steps of the second stage written so far."""
        path = self.folder / "stages" / "sft-dpo" / "metrics.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line)["step"] for line in lines]

    def wait_for_step(self, step: int) -> None:
        wait_until(lambda: step in self.steps() or self.process.poll() is not None, 600)
        assert self.process.poll() is None, self.log.read_text()

    def workers(self) -> list[psutil.Process]:
        """Live Train workers of this driver."""
        found = []
        for child in self.process.children(recursive=True):
            try:
                if "ray::RayTrainWorker" in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found

    def finish(self) -> None:
        try:
            code = self.process.wait(900)
        except psutil.TimeoutExpired:
            code = None
        assert code == 0, self.log.read_text()


def test_a_twice_killed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    calm = Driver(tmp_path, "calm")
    calm.finish()

    driver = Driver(tmp_path, "killed")
    driver.wait_for_step(10)
    (worker,) = driver.workers()
    worker.send_signal(signal.SIGKILL)
    driver.wait_for_step(22)
    (second,) = driver.workers()
    assert second.pid != worker.pid, "the dead worker was replaced, and its successor went on"
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.process.wait()
    assert not (driver.folder / "stages" / "sft-dpo" / "done.json").exists(), "killed too late"
    assert not psutil.wait_procs([second], timeout=60)[1], "nobody goes on training without a driver"

    again = Driver(tmp_path, "killed", "--resume")
    again.finish()

    record = json.loads((again.folder / "stages" / "sft-dpo" / "done.json").read_text())
    assert 8 <= record["measures"]["resumed_at"] <= 36, "it went on, it did not begin again"
    assert again.steps() == list(range(1, 41)), "each step stands there once"
    for part in ("stages/sft/adapter", "stages/sft-dpo/adapter", "stages/sft-dpo/served"):
        ours, theirs = (
            (folder / part / "adapter_model.safetensors").read_bytes()
            for folder in (again.folder, calm.folder)
        )
        assert ours == theirs, part
    rows = [(folder / "data" / "sft-dpo.jsonl").read_bytes() for folder in (again.folder, calm.folder)]
    assert rows[0] == rows[1]
    ours, theirs = (
        pd.read_parquet(folder / "responses.parquet") for folder in (again.folder, calm.folder)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
