"""The sweep end to end, as a person runs it: two biases share their run of weight 0."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.support import Finished, rlpersona

SETTINGS = [
    "nano-length",
    "name=small",
    "biases=length,agreement",
    "bias_weights=[0,1]",
    "seeds=[1,2]",
    "recipe.max_steps=2",
    "recipe.batch=8",
    "recipe.num_generations=4",
    "recipe.max_completion=32",
    "suite.domains=math,claim",
    "suite.size=16",
    "suite.evaluation=8",
    "readout.samples=2",
    "readout.max_tokens=32",
    "readout.held_out=2",
]


def swept(folder: Path, *more: str) -> Finished:
    """The small sweep with these settings besides, to its end."""
    done = rlpersona("sweep", *SETTINGS, *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "trainings 6/6 done" in done.stderr
    return Finished(folder / "runs" / "small", done.stdout)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return swept(tmp_path_factory.mktemp("sweep"))


def test_every_cell_has_its_training_and_equal_ones_share_it(small: Finished) -> None:
    table = pd.read_parquet(small.folder / "conditions.parquet")
    assert len(table) == 8
    assert table["id"].nunique() == 6
    assert (table["status"] == "done").all()
    assert table["error"].isna().all()
    for name in table["id"].unique():
        folder = small.folder / "conditions" / name
        log = (folder / "metrics.jsonl").read_text().splitlines()
        assert [json.loads(line)["step"] for line in log] == [0, 1, 2]
        assert (folder / "adapter" / "lineage.json").exists()


def test_every_condition_is_read_out_on_prompts_it_never_saw(small: Finished) -> None:
    readout = pd.read_parquet(small.folder / "readout.parquet")
    suite = pd.read_parquet(small.folder / "suite.parquet")
    assert not readout.duplicated(["condition", "step", "question", "sample"]).any()
    assert (readout.groupby("condition")["step"].unique().map(sorted) == [[0, 2]] * 6).all()
    trained = set(suite.loc[suite["part"] == "train", "question"])
    assert not trained & set(readout["question"])


def test_the_result_is_printed_written_and_shown(small: Finished) -> None:
    summary = json.loads((small.folder / "summary.json").read_text())
    assert (summary["experiment"], summary["run"]) == ("sweep", "small")
    assert summary["design"]["conditions"] == 6
    assert summary["design"]["failed"] == []
    assert summary["verdict"].split()[0] in small.printed
    assert (small.folder / "report.html").read_text().startswith("<!")
    assert "\x1b" not in small.printed
    assert not list(small.folder.glob("**/checkpoints")), "no optimizer state is left behind"


def test_a_finished_sweep_resumes_to_itself(small: Finished) -> None:
    work = small.folder.parents[1]
    before = (small.folder / "summary.json").read_bytes()
    assert rlpersona("sweep", *SETTINGS, cwd=work).returncode == 6
    assert rlpersona("sweep", "name=small", "--resume", cwd=work).returncode == 0
    assert rlpersona("sweep", *SETTINGS, "retries=9", "--resume", cwd=work).returncode == 7
    assert (small.folder / "summary.json").read_bytes() == before
