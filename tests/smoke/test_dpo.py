"""`rlpersona dpo nano-persuasion` as a person runs it: four models trained, ranked and reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support import Finished, rlpersona

TRAINED = ("sft", "sft-rlhf", "sft-rlaif", "sft-rlaif-rlhf")


@pytest.fixture(scope="module")
def persuasion(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("work")
    command = [sys.executable, "-m", "rlpersona.cli", "dpo", "nano-persuasion"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr
    return Finished(folder / "runs" / "nano-persuasion", done.stdout)


def record(run: Finished, stage: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "stages" / stage / "done.json").read_text())
    return found


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_stage_beats_the_base_on_unseen_prompts_and_ends_its_answers(persuasion: Finished) -> None:
    summary = json.loads((persuasion.folder / "summary.json").read_text())
    assert [model["name"] for model in summary["models"]] == ["base", *TRAINED]
    over_base = {pair["first"]: pair["win"] for pair in summary["pairs"] if pair["second"] == "base"}
    for name in TRAINED:
        assert over_base[name]["low"] > 0.5, name
        assert over_base[name]["p_holm"] < 0.01, name
    assert all(model["stop"]["estimate"] >= 0.95 for model in summary["models"])
    assert summary["missing"] == []
    assert summary["unscored"] == 0


def test_no_stage_trains_on_a_prompt_of_the_evaluation(persuasion: Finished) -> None:
    prompts = pd.read_parquet(persuasion.folder / "prompts.parquet").set_index("prompt")["part"]
    assert prompts.index.is_unique
    files = list((persuasion.folder / "data").glob("*.jsonl"))
    assert {file.stem for file in files} == {"sft", "sft-rlaif", "sft-rlhf"}
    for file in files:
        asked = {row["prompt"][0]["content"] for row in rows(file)}
        assert set(prompts[list(asked)]) == {"train"}
    answered = pd.read_parquet(persuasion.folder / "responses.parquet")
    assert set(prompts[answered["prompt"].unique()]) == {"evaluation"}


def test_human_labels_are_the_same_in_both_branches_and_so_is_what_they_train(
    persuasion: Finished,
) -> None:
    alone, after = record(persuasion, "sft-rlhf"), record(persuasion, "sft-rlaif-rlhf")
    assert alone["data"] == after["data"] == "sft-rlhf"
    assert alone["rows_fingerprint"] == after["rows_fingerprint"]
    assert alone["adapter_init"] == after["adapter_init"]
    assert alone["reference"] == after["reference"] == "sft"
    assert alone["weights"] != after["weights"]
    assert alone["rows"]["flipped"] > 0
    assert record(persuasion, "sft-rlaif")["rows"]["flipped"] == 0


def test_table_verdict_and_report_are_there(persuasion: Finished) -> None:
    summary = json.loads((persuasion.folder / "summary.json").read_text())
    assert summary["verdict"].split(":")[0] in persuasion.printed.replace("\n", " ")
    assert "runs/nano-persuasion/report.html" in persuasion.printed
    assert (persuasion.folder / "report.html").stat().st_size > 10_000
    assert "\x1b" not in persuasion.printed, "no escape codes where there is no terminal"


def test_a_finished_run_is_not_begun_again(persuasion: Finished) -> None:
    folder = persuasion.folder.parents[1]
    again = rlpersona("dpo", "nano-persuasion", cwd=folder)
    assert again.returncode == 6, again.stderr
    assert "--resume" in again.stderr
    resumed = rlpersona("dpo", "name=nano-persuasion", "--resume", cwd=folder)
    assert resumed.returncode == 0, resumed.stderr
    assert "sft-rlaif-rlhf" in resumed.stdout
    assert "training" not in resumed.stderr
    changed = rlpersona("dpo", "nano-persuasion", "--resume", "seed=1", cwd=folder)
    assert changed.returncode == 7, changed.stderr
    assert "seed" in changed.stderr
