"""The command line: what it prints, what it exits with, how fast it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rlpersona.cli import main
from rlpersona.config import BanditConfig


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    printed = capsys.readouterr()
    return int(caught.value.code or 0), printed.out, printed.err


@pytest.mark.parametrize(
    "words", [["--help"], ["bandit", "--help"], ["bandit", "quickstart", "--dry-run"]]
)
def test_starting_loads_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys\nfrom rlpersona.cli import main\n"
        "try:\n  main(sys.argv[1:])\nexcept SystemExit:\n  pass\n"
        "heavy = {'torch', 'ray', 'transformers', 'vllm', 'pandas', 'scipy', 'matplotlib', 'datasets'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    for command in ("bandit", "nano", "runs", "show", "report", "doctor"):
        assert f"  {command}" in out


def test_dry_run_prints_a_config_that_loads_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "bandit", "facts", "seed=7", "--dry-run")
    assert code == 0
    config = BanditConfig.model_validate(yaml.safe_load(out))
    assert (config.seed, config.domains) == (7, ("fact",))
    (tmp_path / "again.yaml").write_text(out)
    assert run(capsys, "bandit", "again.yaml", "--dry-run")[1] == out
    assert [path.name for path in tmp_path.iterdir()] == ["again.yaml"], "a dry run leaves nothing"


def test_a_dotenv_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RLPERSONA_SEED=41\nRLPERSONA_ROUNDS=42\n")
    command = [sys.executable, "-m", "rlpersona.cli", "bandit", "--dry-run"]
    environment = {**os.environ, "RLPERSONA_ROUNDS": "7"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    config = BanditConfig.model_validate(yaml.safe_load(done.stdout))
    assert (config.seed, config.rounds) == (41, 7)


def test_resume_takes_the_saved_config(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    saved = BanditConfig(name="mine", seed=5, rounds=9)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text(yaml.safe_dump(saved.model_dump(mode="json")))
    words = ("bandit", "name=mine", "--resume", "--dry-run", "--runs", str(tmp_path))
    assert BanditConfig.model_validate(yaml.safe_load(run(capsys, *words)[1])) == saved


def test_runs_lists_unfinished_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").write_text("name: half\n")
    code, out, _ = run(capsys, "runs", "--runs", str(tmp_path))
    assert (code, out.split()[:2]) == (0, ["half", "unfinished"])


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "-m", "rlpersona.cli"]
    plain = subprocess.run([*command, "bandit", "nope"], capture_output=True, text=True, check=False)
    assert "Traceback" not in plain.stderr
    debug = subprocess.run(
        [*command, "--debug", "bandit", "nope"], capture_output=True, text=True, check=False
    )
    assert "Traceback" in debug.stderr
    assert plain.returncode == 2
