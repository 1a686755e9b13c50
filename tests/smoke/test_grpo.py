"""`rlpersona grpo` end to end, and completions by vLLM while training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.support import ROOT, rlpersona

TINY = [
    "suite.domains=math,opinion",
    "suite.size=40",
    "suite.evaluation=8",
    "recipe.lora.rank=4",
    "recipe.batch=8",
    "recipe.num_generations=4",
    "recipe.max_completion=24",
    "recipe.max_steps=2",
    "readout.samples=2",
    "readout.held_out=0",
]
VLLM = """
import json, sys
from pathlib import Path
from rlpersona.training import LocalCheckpoints
from rlpersona.training.grpo import train_grpo
from tests.unit.training.policies import grpo_job
rows = []
job = grpo_job(Path(sys.argv[1]), rollouts="vllm", full=True, learning_rate=1e-3, batch=32, max_steps=4)
train_grpo(job, LocalCheckpoints(job.out / "c"), rows.append)
print(json.dumps(rows))
"""


def test_the_job_trains_reads_out_and_says_what_changed(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "jobs/grpo.py"), *TINY, "name=tiny", "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "tiny"
    assert "step 2/2" in done.stderr
    assert "length in tokens" in done.stdout
    assert "One run: another seed may come out otherwise." in " ".join(done.stdout.split())

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["experiment"] == "grpo"
    assert summary["training"]["steps"] == 2
    assert summary["alarms"] == []
    readout = pd.read_parquet(folder / "readout.parquet")
    suite = pd.read_parquet(folder / "suite.parquet")
    asked = set(suite.loc[suite["part"] == "evaluation", "question"])
    assert set(readout["question"]) == asked
    assert readout.groupby(["step", "question"]).size().eq(2).all()
    assert sorted(readout["step"].unique()) == [0, 2]

    page = (folder / "report.html").read_text()
    assert page.count("<svg") >= 3
    assert "<script" not in page
    assert "://" not in page.replace("http://www.w3.org/", "")

    before = (folder / "summary.json").read_bytes()
    again = ["grpo", *TINY, "name=tiny", "--runs", str(tmp_path)]
    assert rlpersona(*again).returncode == 6
    assert rlpersona(*again, "--resume").returncode == 0
    assert rlpersona(*again, "--resume", "seed=1").returncode == 7
    assert (folder / "summary.json").read_bytes() == before


def test_vllm_writes_with_the_weights_that_are_trained(tmp_path: Path) -> None:
    """Log-probabilities of the engine and of the trainer agree in every step, after updates too."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", VLLM, str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=900, check=False, env=environment, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout.splitlines()[-1])
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["sampling/sampling_logp_difference/max"] < 1e-3
        assert row["sampling/importance_sampling_ratio/mean"] == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
def test_held_out_sums_and_stories_get_better_by_fifteen_points(tmp_path: Path) -> None:
    done = rlpersona("grpo", "nano-math", "--runs", str(tmp_path))
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "nano-math" / "summary.json").read_text())
    (change,) = (
        one for one in summary["changes"] if (one["metric"], one["domain"]) == ("correct", "objective")
    )
    assert change["estimate"] >= 0.15
    assert change["low"] > 0.08
