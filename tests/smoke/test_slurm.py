"""deploy/slurm/rlpersona.sbatch on a real Slurm: a job, its exit code, its end, and the time limit."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.slurm import Slurm, missing, running_slurm
from tests.support import ROOT, Finished, wait_until

SCRIPT = str(ROOT / "deploy" / "slurm" / "rlpersona.sbatch")
QUICK = ["bandit", "quickstart", "rounds=6", "validation.questions=20"]

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"no Slurm here: {missing()} not found")


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    folder = Path(tempfile.mkdtemp(prefix="slurm"))
    try:
        with running_slurm(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Job:
    """A submitted job: its number, its log, what Slurm says of it."""

    def __init__(self, slurm: Slurm, runs: Path, *words: str, options: tuple[str, ...] = ()) -> None:
        self.slurm, self.log = slurm, runs.parent / "job.log"
        self.number = slurm.run(
            "sbatch",
            "--parsable",
            "--cpus-per-task=2",
            f"--output={self.log}",
            *options,
            SCRIPT,
            *words,
            RLPERSONA_RUNS=str(runs),
            HEAD_IP="127.0.0.2",
            RLPERSONA_VENV=str(
                Path(shutil.which("python", path=slurm.environment["PATH"]) or "").parents[1]
            ),
        )

    def wait(self, *states: str, seconds: float = 400) -> dict[str, str]:
        """What Slurm says once the job is in one of `states`."""
        try:
            wait_until(lambda: self.slurm.job(self.number)["JobState"] in states, seconds)
        except AssertionError as error:
            raise AssertionError(f"{self.slurm.job(self.number)}\n{self.said()}") from error
        return self.slurm.job(self.number)

    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def left(self) -> list[str]:
        """Processes and files of the job that are still there."""
        folders = [Path(f"/tmp/ray-{self.number}"), ROOT / f".ray-{self.number}"]
        processes = [
            " ".join(process.info["cmdline"] or ())
            for process in psutil.process_iter(["cmdline"])
            if f"/tmp/ray-{self.number}/" in " ".join(process.info["cmdline"] or ())
        ]
        return [*processes, *(str(folder) for folder in folders if folder.exists())]

    def at_work(self) -> bool:
        """Whether Slurm's own process of the job's script is there."""
        title = f"slurmstepd: [{self.number}.batch]"
        return any(
            " ".join(process.info["cmdline"] or ()).startswith(title)
            for process in psutil.process_iter(["cmdline"])
        )


def test_a_job_leaves_the_run_that_the_command_leaves(slurm: Slurm, tmp_path: Path) -> None:
    job = Job(slurm, tmp_path / "runs", *QUICK, "name=batch")
    assert job.wait("COMPLETED", "FAILED")["JobState"] == "COMPLETED", job.said()
    summary = json.loads((tmp_path / "runs" / "batch" / "summary.json").read_text())
    assert summary["rounds"] == 6
    assert "Report: " in job.said()
    assert not job.left()


def test_the_exit_code_is_that_of_the_job(slurm: Slurm, tmp_path: Path) -> None:
    job = Job(slurm, tmp_path / "runs", "bandit", "quickstart", "rouns=6")
    assert job.wait("COMPLETED", "FAILED")["ExitCode"] == "2:0", job.said()
    assert "There is no setting 'rouns'" in job.said()
    assert not job.left()
    other = Job(slurm, tmp_path / "runs", "bandits", "quickstart")
    assert other.wait("COMPLETED", "FAILED")["ExitCode"] == "2:0"
    assert "usage: sbatch" in other.said()


def test_out_of_time_it_is_put_back_and_goes_on(
    slurm: Slurm, tmp_path: Path, quickstart: Finished
) -> None:
    """The signal of a time limit, sent by hand: Slurm keeps minutes."""
    runs = tmp_path / "runs"
    job = Job(slurm, runs, "bandit", "quickstart", "name=long")
    metrics = runs / "long" / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") >= 12, 400)
    slurm.run("scancel", "--batch", "--signal=USR1", job.number)
    wait_until(lambda: slurm.job(job.number)["Restarts"] == "1", 240)
    job.wait("PENDING")
    wait_until(lambda: not job.at_work(), 120)
    slurm.run("scontrol", "update", f"JobId={job.number}", "StartTime=now")  # else in two minutes
    assert job.wait("COMPLETED", "FAILED", seconds=400)["JobState"] == "COMPLETED", job.said()
    assert "back into the queue" in job.said()
    for name in ("events", "validation"):
        ours, theirs = (
            pd.read_parquet(folder / f"{name}.parquet") for folder in (runs / "long", quickstart.folder)
        )
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
    assert not job.left()


def test_a_cancelled_job_ends_for_good(slurm: Slurm, tmp_path: Path) -> None:
    job = Job(slurm, tmp_path / "runs", *QUICK, "name=gone", "rounds=400")
    metrics = tmp_path / "runs" / "gone" / "metrics.jsonl"
    wait_until(metrics.exists, 400)
    assert (ROOT / f".ray-{job.number}" / "token").stat().st_mode & 0o777 == 0o600
    slurm.run("scancel", job.number)
    said = job.wait("CANCELLED")
    assert said["Restarts"] == "0"
    try:
        wait_until(lambda: not job.left(), 120)
    except AssertionError as error:
        raise AssertionError(f"{job.left()}\n{job.said()}") from error
