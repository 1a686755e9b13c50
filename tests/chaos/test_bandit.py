"""SIGKILL on real processes in mid-run: the resumed result equals the undisturbed one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import psutil
import pytest

from rlpersona.models import nano
from tests.support import wait_until

SETTINGS = [
    "quickstart",
    "rounds=24",
    "in_flight=2",
    "checkpoint_every=3",
    "validation.questions=60",
    "bystanders=4",
]


class Driver:
    """`rlpersona bandit` in a process of its own."""

    def __init__(
        self, root: Path, name: str, *flags: str, settings: Sequence[str] = tuple(SETTINGS)
    ) -> None:
        self.folder = root / name
        command = [sys.executable, "-m", "rlpersona.cli", "bandit", *settings, f"name={name}", *flags]
        self.log = (root / f"{name}.log").open("a")
        self.process = psutil.Popen(
            [*command, "--runs", str(root)], stdout=self.log, stderr=subprocess.STDOUT, text=True
        )

    def rounds(self) -> int:
        """Rounds written so far."""
        metrics = self.folder / "metrics.jsonl"
        return metrics.read_text().count("\n") if metrics.exists() else 0

    def wait_for_rounds(self, rounds: int) -> None:
        wait_until(lambda: self.rounds() >= rounds or self.process.poll() is not None, 120)
        assert self.process.poll() is None, Path(self.log.name).read_text()

    def finish(self) -> None:
        assert self.process.wait(240) == 0, Path(self.log.name).read_text()

    def children(self, title: str) -> list[psutil.Process]:
        """Live processes started by this driver whose title contains `title`."""
        found = []
        for child in self.process.children(recursive=True):
            try:
                if title in " ".join(child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
        return found


def result(folder: Path) -> dict[str, object]:
    summary = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in summary.items() if key not in {"run", "seconds"}}


def tables(folder: Path) -> Iterator[pd.DataFrame]:
    for name in ("events", "personas", "validation"):
        yield pd.read_parquet(folder / f"{name}.parquet")


def assert_same(folder: Path, undisturbed: Path) -> None:
    assert result(folder) == result(undisturbed)
    for ours, theirs in zip(tables(folder), tables(undisturbed), strict=True):
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    rounds = [json.loads(line)["round"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rounds == list(range(1, len(rounds) + 1)), "each round once"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("undisturbed")
    Driver(root, "calm").finish()
    return root / "calm"


def test_killed_driver_resumes_to_the_same_result(undisturbed: Path, tmp_path: Path) -> None:
    driver = Driver(tmp_path, "killed")
    driver.wait_for_rounds(8)
    workers = driver.children("ray::Holder") + driver.children("ray::RayTrainWorker")
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.process.wait()
    assert not (tmp_path / "killed" / "summary.json").exists(), "killed too late to show anything"
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert len(workers) == 2
    assert not alive, "nobody goes on writing without a driver"

    again = Driver(tmp_path, "killed", "--resume")
    again.finish()
    assert_same(tmp_path / "killed", undisturbed)


@pytest.mark.parametrize("victim", ["ray::Holder", "ray::RayTrainWorker"])
def test_killed_part_is_replaced_within_the_run(undisturbed: Path, tmp_path: Path, victim: str) -> None:
    driver = Driver(tmp_path, "hurt")
    driver.wait_for_rounds(8)
    (process,) = driver.children(victim)
    process.send_signal(signal.SIGKILL)
    driver.finish()
    assert_same(tmp_path / "hurt", undisturbed)


def test_a_killed_era_experiment_resumes_to_the_same_answers(tmp_path: Path) -> None:
    people = nano.personas()[:6] + nano.bystanders(6)
    lines = [f"{person.name},{('Modern', 'Ancient')[k % 2]}" for k, person in enumerate(people)]
    roster = tmp_path / "people.csv"
    roster.write_text("\n".join(["name,era", *lines]))
    settings = [
        "validate",
        f"personas={roster}",
        "benchmark=nano",
        "labels=domain",
        "domains=math,fact",
        "modern=fact",
        "timeless=math",
        "persona_sample=random",
        "question_limit=300",
        "chunk=1",
    ]
    Driver(tmp_path, "calm", settings=settings).finish()
    driver = Driver(tmp_path, "killed", settings=settings)
    driver.wait_for_rounds(3)
    os.kill(driver.process.pid, signal.SIGKILL)
    driver.process.wait()
    assert not (tmp_path / "killed" / "summary.json").exists(), "killed too late to show anything"
    Driver(tmp_path, "killed", "--resume", settings=settings).finish()
    assert result(tmp_path / "killed") == result(tmp_path / "calm")
    ours, theirs = (pd.read_parquet(tmp_path / name / "answers.parquet") for name in ("killed", "calm"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
