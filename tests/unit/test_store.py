"""The run folder: one owner, whole files, records that neither double nor vanish."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from rlpersona.config import BanditConfig
from rlpersona.errors import (
    ConfigError,
    RunChangedError,
    RunError,
    RunExistsError,
    RunLockedError,
    StorageError,
)
from rlpersona.store import Run, atomic, find, names, opened

CONFIG = BanditConfig(name="one")


def test_a_new_run_saves_its_config(tmp_path: Path) -> None:
    with opened(tmp_path, CONFIG) as run:
        assert (
            BanditConfig.model_validate(yaml.safe_load((run.folder / "config.yaml").read_text()))
            == CONFIG
        )
    assert names(tmp_path) == ["one"]
    assert find(tmp_path, "one") == run


def test_an_existing_run_wants_resume(tmp_path: Path) -> None:
    with opened(tmp_path, CONFIG):
        pass
    with pytest.raises(RunExistsError), opened(tmp_path, CONFIG):
        pass
    with opened(tmp_path, CONFIG, resume=True) as run:
        assert run.name == "one"


def test_resume_refuses_a_changed_config_and_names_the_field(tmp_path: Path) -> None:
    with opened(tmp_path, CONFIG):
        pass
    changed = CONFIG.model_copy(update={"rounds": 61})
    with (
        pytest.raises(RunChangedError, match="rounds: 60 -> 61"),
        opened(tmp_path, changed, resume=True),
    ):
        pass
    assert (tmp_path / "one" / "config.yaml").exists()


def test_a_users_mistake_before_the_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), opened(tmp_path, CONFIG) as run:
        run.write_json("provenance.json", {})
        raise ConfigError("x")
    assert not (tmp_path / "one").exists()
    with pytest.raises(ConfigError), opened(tmp_path, CONFIG) as run:
        (run.checkpoints / "checkpoint_1").mkdir(parents=True)
        raise ConfigError("x")
    assert (tmp_path / "one").exists(), "work that was paid for stays"


def test_a_folder_that_is_no_run_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "precious.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="other than a run"), opened(tmp_path, CONFIG):
        raise ConfigError("never reached")
    assert (tmp_path / "one" / "precious.txt").read_text() == "mine"


HOLD = """
import sys, time
from pathlib import Path
from rlpersona.config import BanditConfig
from rlpersona.store import opened
with opened(Path(sys.argv[1]), BanditConfig(name="one")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_cannot_own_a_run_and_a_dead_one_does_not(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    with pytest.raises(RunLockedError, match=str(other.pid)), opened(tmp_path, CONFIG, resume=True):
        pass
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with opened(tmp_path, CONFIG, resume=True):
        pass


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write_text("a.txt", "old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_json_is_strict(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        Run(tmp_path).write_json("a.json", {"x": float("nan")})
    assert not any(tmp_path.iterdir())


def events(first: int, last: int) -> pd.DataFrame:
    return pd.DataFrame({"round": range(first, last + 1), "persona": "p", "reward": 1.0})


def test_rewind_and_redo_record_each_round_once(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for first, last in ((1, 3), (4, 6)):
        run.save_events(first, last, events(first, last))
        for number in range(first, last + 1):
            run.append_metrics({"round": number})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"round": 7, "rew')
    run.rewind(3)
    assert [row["round"] for row in run.metrics()] == [1, 2, 3]
    run.append_metrics({"round": 4})
    run.save_events(4, 4, events(4, 4))
    assert list(run.events()["round"]) == [1, 2, 3, 4]
    assert list(run.compact_events()["round"]) == [1, 2, 3, 4]
    assert list(run.compact_events()["round"]) == [1, 2, 3, 4], "doing it again changes nothing"


def test_rounds_redone_after_compacting_replace_the_old_ones(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_events(1, 6, events(1, 6))
    run.compact_events()
    run.rewind(3)
    run.save_events(4, 5, events(4, 5).assign(persona="redone"))
    again = run.compact_events()
    assert list(again["round"]) == [1, 2, 3, 4, 5]
    assert list(again["persona"]) == ["p", "p", "p", "redone", "redone"]


def test_an_unknown_run_suggests_the_nearest(tmp_path: Path) -> None:
    with opened(tmp_path, CONFIG):
        pass
    with pytest.raises(RunError) as caught:
        find(tmp_path, "onne")
    assert "one" in caught.value.hint


def test_an_unfinished_run_says_how_to_finish(tmp_path: Path) -> None:
    with opened(tmp_path, CONFIG) as run:
        with pytest.raises(RunError) as caught:
            run.read_json("summary.json")
        assert "--resume" in caught.value.hint
        (run.folder / "summary.json").write_text('{"a": ')
        with pytest.raises(RunError, match="torn"):
            run.read_json("summary.json")
        run.write_json("summary.json", {"a": 1})
        assert json.loads((run.folder / "summary.json").read_text()) == {"a": 1}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left"):
        Run(tmp_path).append_metrics({"round": 1})


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write"), opened(tmp_path / "file", CONFIG):
        pass
