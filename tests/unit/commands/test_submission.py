"""What a job is made of: its words, its files, its variables; never a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.cli import cli
from rlpersona.commands.jobs import COMMANDS, going_on, words_for
from rlpersona.commands.submission import (
    FAMILIES,
    Order,
    code,
    files_named,
    refuse_key_file,
    refuse_words,
    rehearsed,
)
from rlpersona.commands.variables import refuse_keys, variables
from rlpersona.errors import ConfigError
from rlpersona.report.kinds import KINDS
from rlpersona.runtime.upload import LIMIT, pack
from tests.support import ROOT

KEY = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"  # in no provider's form
ENVIRONMENT = {"SOME_API_KEY": KEY, "PLAIN": "value"}


def test_every_family_has_a_job_and_a_command() -> None:
    assert {file.stem for file in (ROOT / "jobs").glob("*.py")} == set(FAMILIES)
    assert set(FAMILIES) <= set(cli.commands)
    for file in (ROOT / "jobs").glob("*.py"):
        assert f'main(["{file.stem}", *sys.argv[1:]])' in file.read_text()


def test_every_kind_of_run_can_be_resumed() -> None:
    assert set(KINDS) == set(COMMANDS)
    assert words_for("drift", "mine") == ("axis", "drift", "name=mine", "--resume")
    with pytest.raises(ConfigError, match="judge"):
        words_for("label", "pairs")


def test_the_package_holds_all_that_runs_and_is_small(tmp_path: Path) -> None:
    files = code()
    size = pack(tmp_path / "package.zip", files)
    assert size < LIMIT
    assert {"rlpersona/cli.py", "rlpersona/report/style.css.jinja", "jobs/sweep.py"} <= set(files)
    assert any(name.endswith("model.safetensors") for name in files), "the embedded model"
    assert not [name for name in files if "__pycache__" in name or name.startswith("tests")]


def test_what_ray_job_submit_packs_is_small_and_whole(tmp_path: Path) -> None:
    from ray._private.runtime_env.packaging import create_package

    target = tmp_path / "package.zip"
    skipped = [".git", ".venv", "venv", "__pycache__"]  # Ray's own defaults
    create_package(str(ROOT), target, include_gitignore=True, excludes=skipped)
    assert target.stat().st_size < LIMIT
    import zipfile

    with zipfile.ZipFile(target) as archive:
        names = set(archive.namelist())
    tracked = {name for name in code() if not name.endswith("COMMIT")}
    assert tracked <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "runs", ".venv", ".git")]


def test_files_that_words_and_config_name_travel_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my.yaml", "data/people.csv", "labels.csv", ".env", "other.csv", "quickstart"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path.parent / "outside.csv").write_text("x")
    words = (
        "bandit",
        "my.yaml",
        "labels=[labels.csv,../outside.csv]",
        f"x={tmp_path}/other.csv",
        ".env",
    )
    order = Order(words, {"personas": "data/people.csv", "model": {"name": "nano"}}, "/runs")
    assert set(files_named(order)) == {"my.yaml", "labels.csv", "data/people.csv"}


@given(st.text(max_size=300))
def test_a_config_may_hold_any_text(text: str) -> None:
    assert files_named(Order(("bandit", text), {"prefix": text}, "/runs")) == {}


def test_a_long_prompt_in_any_alphabet_is_no_file() -> None:
    assert files_named(Order(("bandit",), {"prefix": "\u044f" * 199}, "/runs")) == {}


def test_the_file_of_a_token_does_not_travel(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token_file=serve\.token") as caught:
        refuse_key_file(rehearsed(cli, ("serve", "b", "token_file=serve.token"), tmp_path))
    assert "absolute" in caught.value.hint
    for words in (("serve", "b"), ("serve", "b", "token_file=/shared/token"), ("bandit", "quickstart")):
        refuse_key_file(rehearsed(cli, words, tmp_path))


def test_each_job_goes_on_with_words_that_its_command_takes() -> None:
    label = "label ai mine --judge openai"
    assert going_on({"name": "mine", "experiment": "label"}, label)[-1] == "--resume"
    again = going_on({"name": "mine", "experiment": "label"}, f"{label} --resume")
    assert again.count("--resume") == 1
    assert going_on({"name": "b", "experiment": "evaluate"}, "evaluate b") == ("evaluate", "b")
    assert going_on({"name": "s", "experiment": "sweep"}, "sweep x name=s") == words_for("sweep", "s")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("bandt", "quickstart"), "Did you mean 'bandit'"),
        (("label", "human", "x"), "label human x"),
        (("nano", "build"), "/FOLDER"),
        (("submit", "bandit"), "Known"),
    ],
)
def test_words_that_are_no_work_for_a_cluster(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_words(words)
    assert said in caught.value.hint


def test_mistakes_show_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="rondus"):
        rehearsed(cli, ("bandit", "quickstart", "rondus=3"), tmp_path)
    config = rehearsed(cli, ("sweep", "nano-length", "name=mine"), tmp_path)
    assert (config["name"], config["experiment"]) == ("mine", "sweep")
    assert rehearsed(cli, ("bandit", "plan", "quickstart"), tmp_path) == {}
    assert rehearsed(cli, ("axis", "drift", "only-there"), tmp_path) == {}
    for words in (("evaluate", "only-there"), ("evaluate", "--rpm", "5", "judge.seed=1", "only-there")):
        assert rehearsed(cli, words, tmp_path)["name"] == "only-there"
    assert not any(tmp_path.iterdir())


def test_variables_are_settings_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").write_text("FROM_FILE=1\n# nothing\nB='two words'\n")
    environment = {
        **ENVIRONMENT,
        "RLPERSONA_SEED": "3",
        "RLPERSONA_RUNS": "/not/passed/on",
        "OPENAI_API_KEY_FILE": "key",
        "HOME": "/home/somebody",
    }
    assert variables(["PLAIN", "A=b=c"], tmp_path / "more", environment) == {
        "A": "b=c",
        "B": "two words",
        "FROM_FILE": "1",
        "OPENAI_API_KEY_FILE": str(tmp_path / "key"),
        "PLAIN": "value",
        "RLPERSONA_SEED": "3",
    }


@pytest.mark.parametrize(
    "word",
    [
        "SOME_API_KEY",
        "OPENAI_API_KEY=x",
        "HF_TOKEN=x",
        "aws_secret=x",
        f"HARMLESS={KEY}",
        f"HARMLESS=Bearer {KEY}",
        "HARMLESS=sk-ant-0123456789abcdef",
        "HTTPS_PROXY=http://somebody:0123456789@proxy:8080",
        "NOT_SET",
        "1=2",
        "",
    ],
)
def test_keys_and_unknown_names_are_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        variables([word], None, ENVIRONMENT)
    assert KEY not in caught.value.message + caught.value.hint
    assert "0123456789" not in caught.value.message + caught.value.hint


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_key_in_the_words_is_refused_wherever_it_stands(before: str, after: str) -> None:
    with pytest.raises(ConfigError) as caught:
        refuse_keys(["bandit", f"{before}{KEY}{after}"], ENVIRONMENT)
    assert KEY not in caught.value.message
    assert caught.value.message.startswith("Word 2 ")
    refuse_keys(["bandit", "name=value", before[:7]], {"SOME_API_KEY": "short"})
