"""SIGKILL of a pack's process, then of the driver: the resumed sweep is the undisturbed one."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.chaos.test_sweep import Sweep, assert_same
from tests.processes import send

WORKER = "RayTrainWorker"  # Train's name for the process that trains
PACKED = ("packed=4", "recipe.max_steps=12", "recipe.checkpoint_every=2")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    driver = Sweep(tmp_path_factory.mktemp("undisturbed"), "calm", *PACKED)
    driver.finish()
    return driver.folder


def test_a_killed_pack_and_a_killed_driver_change_no_result(undisturbed: Path, tmp_path: Path) -> None:
    driver = Sweep(tmp_path, "hurt", *PACKED)
    driver.wait(lambda: any(3 in steps for steps in driver.logs().values()))
    killed = driver.below(WORKER)
    assert killed
    send(killed, signal.SIGKILL)
    psutil.wait_procs(killed, timeout=120)
    before = max(max(steps, default=-1) for steps in driver.logs().values())
    driver.wait(lambda: any(max(steps, default=-1) > before for steps in driver.logs().values()))
    left = driver.below(WORKER)
    driver.kill()
    assert not driver.done(), "killed too late to show anything"
    _, alive = psutil.wait_procs(left, timeout=120)
    assert not alive

    again = Sweep(tmp_path, "hurt", "--resume", *PACKED)
    again.finish()
    assert_same(again.folder, undisturbed)
    for steps in again.logs().values():
        assert steps == list(range(13)), "each step once"
    assert not list(again.folder.glob("**/checkpoints")), "no checkpoint is left behind"
