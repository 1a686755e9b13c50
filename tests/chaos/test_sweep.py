"""SIGKILL of a trial's process, then of the driver: the resumed sweep is the undisturbed one."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.processes import Driver, send

SETTINGS = [
    "nano-length",
    "bias_weights=[0,1]",
    "seeds=[1,2]",
    "retries=1",
    "recipe.max_steps=4",
    "recipe.batch=8",
    "recipe.num_generations=4",
    "recipe.checkpoint_every=1",
    "recipe.max_completion=32",
    "suite.domains=math,persuade",
    "suite.size=16",
    "suite.evaluation=8",
    "readout.samples=2",
    "readout.max_tokens=32",
    "readout.held_out=2",
    "readout.watch_every=2",
]
TRIAL = "ray::ImplicitFunc"  # Tune's name for the process of a function's trials


class Sweep(Driver):
    """`rlpersona sweep` in a process of its own."""

    def __init__(self, root: Path, name: str, *flags: str) -> None:
        super().__init__(root, name, "sweep", *SETTINGS, *flags)

    def logs(self) -> dict[str, list[int]]:
        """The steps that each condition has logged."""
        return {
            path.parent.name: [json.loads(line)["step"] for line in path.read_text().splitlines()]
            for path in self.folder.glob("conditions/*/metrics.jsonl")
        }

    def done(self) -> set[str]:
        return {path.parent.name for path in self.folder.glob("conditions/*/done.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    driver = Sweep(tmp_path_factory.mktemp("undisturbed"), "calm")
    driver.finish()
    return driver.folder


def test_a_killed_trial_and_a_killed_driver_change_no_result(undisturbed: Path, tmp_path: Path) -> None:
    driver = Sweep(tmp_path, "hurt")
    # A condition that has a checkpoint, and steps to come.
    driver.wait(lambda: any(2 in steps for steps in driver.logs().values()))
    trials = driver.below(TRIAL)
    assert trials
    send(trials, signal.SIGKILL)
    driver.wait(lambda: bool(driver.done()))
    driver.kill()
    assert len(driver.done()) < 4, "killed too late to show anything"
    _, alive = psutil.wait_procs(trials, timeout=120)
    assert not alive

    again = Sweep(tmp_path, "hurt", "--resume")
    again.finish()
    assert_same(again.folder, undisturbed)
    for steps in again.logs().values():
        assert steps == [0, 1, 2, 3, 4], "each step once"
    assert not list(again.folder.glob("conditions/*/checkpoints")), "no checkpoint is left behind"


def assert_same(folder: Path, undisturbed: Path) -> None:
    for name in ("conditions", "readout"):
        ours, theirs = (pd.read_parquet(one / f"{name}.parquet") for one in (folder, undisturbed))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    ours, theirs = (json.loads((one / "summary.json").read_text()) for one in (folder, undisturbed))
    assert {**ours, "run": None} == {**theirs, "run": None}
    weights = sorted(undisturbed.glob("conditions/*/adapter/adapter_model.safetensors"))
    assert len(weights) == 4
    for path in weights:
        assert (folder / path.relative_to(undisturbed)).read_bytes() == path.read_bytes()
