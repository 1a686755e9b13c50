"""SIGKILL on real processes in mid-run: the resumed result equals the undisturbed one."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import psutil
import pytest

from rlpersona.models import nano
from tests.processes import Driver

SETTINGS = [
    "quickstart",
    "rounds=24",
    "in_flight=2",
    "checkpoint_every=3",
    "validation.questions=60",
    "bystanders=4",
]


def bandit(root: Path, name: str, *flags: str, settings: Sequence[str] = tuple(SETTINGS)) -> Driver:
    """`rlpersona bandit` in a process of its own."""
    return Driver(root, name, "bandit", *settings, *flags)


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
    bandit(root, "calm").finish()
    return root / "calm"


def test_killed_driver_resumes_to_the_same_result(undisturbed: Path, tmp_path: Path) -> None:
    driver = bandit(tmp_path, "killed")
    driver.wait_for_lines(8)
    workers = driver.below("ray::Holder") + driver.below("ray::RayTrainWorker")
    driver.kill()
    assert not (tmp_path / "killed" / "summary.json").exists(), "killed too late to show anything"
    _, alive = psutil.wait_procs(workers, timeout=120)
    assert len(workers) == 2
    assert not alive, "nobody goes on writing without a driver"

    again = bandit(tmp_path, "killed", "--resume")
    again.finish()
    assert_same(tmp_path / "killed", undisturbed)


@pytest.mark.parametrize("victim", ["ray::Holder", "ray::RayTrainWorker"])
def test_killed_part_is_replaced_within_the_run(undisturbed: Path, tmp_path: Path, victim: str) -> None:
    driver = bandit(tmp_path, "hurt")
    driver.wait_for_lines(8)
    (process,) = driver.below(victim)
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
    bandit(tmp_path, "calm", settings=settings).finish()
    driver = bandit(tmp_path, "killed", settings=settings)
    driver.wait_for_lines(3)
    driver.kill()
    assert not (tmp_path / "killed" / "summary.json").exists(), "killed too late to show anything"
    bandit(tmp_path, "killed", "--resume", settings=settings).finish()
    assert result(tmp_path / "killed") == result(tmp_path / "calm")
    ours, theirs = (pd.read_parquet(tmp_path / name / "answers.parquet") for name in ("killed", "calm"))
    pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
