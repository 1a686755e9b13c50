"""Every mistake a user can make with the main job: one message, its own exit code, nothing left."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from rlpersona.cli import main
from rlpersona.config import BanditConfig
from rlpersona.models import nano
from rlpersona.store import opened

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`rlpersona bandit WORDS` in an empty folder: exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["bandit", *words])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) <= 3, said
        return int(caught.value.code or 0), said

    return call


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["quickstrat"], ["no preset 'quickstrat'", "Did you mean 'quickstart'?"]),
        (["quickstart", "facts"], ["Two presets"]),
        (["seeed=3"], ["no setting 'seeed'", "Did you mean 'seed'?"]),
        (["model.engien=vllm"], ["no setting 'model.engien'", "Did you mean 'engine'?"]),
        (["rounds=many"], ["rounds='many'", "valid integer"]),
        (["rounds=0"], ["rounds=0", "greater than or equal to 1"]),
        (["model.engine=tgi"], ["'hf' or 'vllm'"]),
        (["prefix=You are somebody."], ["must contain {name}"]),
        (["name=../elsewhere"], ["name='../elsewhere'"]),
        (["name=.."], ["dots"]),
        (["algorithm=thomson"], ["thomson", "Did you mean 'thompson'?"]),
        (["params.learning_rate=1"], ["learning_rate"]),
        (["params.lr=-1"], ["lr=-1"]),
        (["benchmark=helaswag"], ["helaswag", "Did you mean 'hellaswag'?"]),
        (["domains=maths"], ["maths", "Did you mean 'math'?"]),
        (["algorithm=halving", "params.budget=3"], ["params.budget"]),
        (["missing.yaml"], ["Cannot read the config missing.yaml"]),
        (["params.api_key=abc"], ["holds a key"]),
    ],
)
def test_config_mistakes(run: Run, tmp_path: Path, words: list[str], says: list[str]) -> None:
    code, said = run(*words)
    assert code == 2
    for part in says:
        assert part in said
    assert not any(tmp_path.iterdir())


def test_a_config_file_that_is_not_yaml(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("seed: 1\nrounds: [1\nname: x\n")
    code, said = run("bad.yaml")
    assert (code, "bad.yaml, line 3, is not YAML" in said) == (2, True)


def test_empty_roster(run: Run, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("name,field\n")
    code, said = run("personas=roster.csv")
    assert (code, "roster is empty" in said) == (3, True)
    assert not (tmp_path / "runs").exists()


def test_duplicate_persona_names_both_lines(run: Run, tmp_path: Path) -> None:
    (tmp_path / "roster.csv").write_text("name\nMarie Curie\nAda Lovelace\nmarie  curie\n")
    code, said = run("personas=roster.csv")
    assert code == 3
    assert "line 4" in said
    assert "line 2" in said
    assert "duplicates=drop" in said


def test_missing_data_file(run: Run) -> None:
    code, said = run("hellaswag", "data=nowhere.json.gz")
    assert (code, "nowhere.json.gz" in said) == (3, True)


def test_malformed_row_names_file_and_line(run: Run, tmp_path: Path) -> None:
    rows = [json.dumps({"question": f"What is {i} + 1?", "answer": f"#### {i + 1}"}) for i in range(9)]
    rows[6] = json.dumps({"question": "What is 1 + 1?", "answer": "two"})
    with gzip.open(tmp_path / "gsm8k.jsonl.gz", "wt") as file:
        file.write("\n".join(rows) + "\n")
    code, said = run("benchmark=gsm8k", "data=gsm8k.jsonl.gz")
    assert code == 3
    assert "gsm8k.jsonl.gz" in said
    assert "line 7" in said


def test_model_folder_without_tokenizer(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(nano.path(), folder, ignore=lambda _, names: [n for n in names if "token" in n])
    code, said = run("quickstart", f"model={folder}")
    assert (code, "tokenizer" in said) == (4, True)
    assert not (tmp_path / "runs").exists()


def test_no_such_model(run: Run, tmp_path: Path) -> None:
    code, said = run("quickstart", "model=./nowhere")
    assert (code, "nowhere" in said) == (4, True)
    assert not (tmp_path / "runs").exists()


def test_run_name_taken(run: Run, tmp_path: Path) -> None:
    with opened(tmp_path / "runs", BanditConfig(name="mine")):
        pass
    code, said = run("name=mine")
    assert (code, "--resume" in said) == (6, True)


def test_resume_of_nothing(run: Run, tmp_path: Path) -> None:
    code, said = run("name=mine", "--resume")
    assert (code, "no run 'mine'" in said) == (5, True)
    assert not (tmp_path / "runs").exists()


def test_resume_with_a_changed_config_names_the_field(run: Run, tmp_path: Path) -> None:
    with opened(tmp_path / "runs", BanditConfig(name="mine")):
        pass
    code, said = run("name=mine", "rounds=7", "--resume")
    assert (code, "rounds: 60 -> 7" in said) == (7, True)


def test_two_processes_on_one_run(run: Run, tmp_path: Path) -> None:
    with opened(tmp_path / "runs", BanditConfig(name="mine")):
        code, said = run("name=mine", "--resume")
    assert (code, f"pid {os.getpid()}" in said) == (8, True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one page."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a full disk needs the right to mount one")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_no_disk_space(run: Run, tiny_disk: Path) -> None:
    code, said = run("quickstart", "--runs", str(tiny_disk))
    assert code == 9
    assert "No space left" in said
    assert not list(tiny_disk.rglob("config.yaml"))


def test_a_folder_in_the_way(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    code, said = run("quickstart")
    assert (code, "--runs FOLDER" in said) == (9, True)


def test_a_saved_config_that_was_edited_by_hand(run: Run, tmp_path: Path) -> None:
    with opened(tmp_path / "runs", BanditConfig(name="mine")) as there:
        values = yaml.safe_load((there.folder / "config.yaml").read_text())
    values["colour"] = "red"
    (tmp_path / "runs" / "mine" / "config.yaml").write_text(yaml.safe_dump(values))
    code, said = run("name=mine", "--resume")
    assert (code, "no setting 'colour'" in said) == (2, True)
