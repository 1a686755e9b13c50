"""`--runs URI`: the commands work in a folder of this machine, and what they leave is at the URI."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from rlpersona import store
from rlpersona.cli import cli
from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError, RunError, RunExistsError
from rlpersona.experiments.labelling.labelling import label_by_judge
from rlpersona.experiments.labelling.pairing import LABELS
from rlpersona.judges import base
from rlpersona.preferences.labels import label_file, read_labels
from rlpersona.preferences.pairs import Pair
from rlpersona.storage import lease, local_root, mirror


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RLPERSONA_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr(lease, "SETTLE", 0.0)
    return tmp_path / "scratch"


def other_machine(scratch: Path) -> None:
    """From here on nothing of the first machine's folder is there."""
    shutil.rmtree(scratch)
    mirror.TOUCHED.clear()


def test_a_folder_is_what_it_was(tmp_path: Path) -> None:
    assert local_root("runs") == Path("runs")
    assert local_root(tmp_path) == tmp_path


def test_a_run_is_opened_refused_resumed_and_found_elsewhere(tmp_path: Path, scratch: Path) -> None:
    uri, config = f"file://{tmp_path}/there", BanditConfig(name="far")
    with store.opened(local_root(uri), config) as run:
        run.write_json("summary.json", {"verdict": "done"})
    other_machine(scratch)
    root = local_root(uri)
    assert store.names(root) == ["far"]
    with pytest.raises(RunExistsError), store.opened(root, config):
        pass
    with pytest.raises(RunError, match="far-away"):
        store.find(root, "far-away")
    other_machine(scratch)
    assert store.find(local_root(uri), "far").read_json("summary.json") == {"verdict": "done"}
    other_machine(scratch)
    with store.opened(local_root(uri), config, resume=True) as run:
        assert run.finished


def test_a_mistake_before_any_work_leaves_nothing_there(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/there"
    with pytest.raises(ConfigError), store.opened(local_root(uri), BanditConfig(name="far")):
        raise ConfigError("a mistake")
    assert not [path for path in (tmp_path / "there").rglob("*") if path.is_file()]
    assert store.names(local_root(uri)) == []


def test_a_name_is_free_again_once_its_run_is_removed_there(tmp_path: Path) -> None:
    uri, config = f"file://{tmp_path}/there", BanditConfig(name="far")
    with store.opened(local_root(uri), config) as run:
        run.write_text("events/1.parquet", "an event")
    shutil.rmtree(tmp_path / "there/far")
    with store.opened(local_root(uri), config) as run:
        assert not (run.folder / "events").exists()


def test_a_reader_beside_a_worker_ends_well(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = local_root(f"file://{tmp_path}/there")
    with store.opened(root, BanditConfig(name="far")) as run:
        store.find(root, "far")
        run.write_text("metrics.jsonl", "")
        store.publish(root)
    assert "works on run 'far'" in caplog.text
    assert (tmp_path / "there/far/metrics.jsonl").exists()


def test_what_a_command_writes_after_the_work_is_there_too(tmp_path: Path, scratch: Path) -> None:
    uri = f"file://{tmp_path}/there"
    with store.opened(local_root(uri), BanditConfig(name="far")) as run:
        run.keep()
    other_machine(scratch)
    (store.find(local_root(uri), "far").folder / "report.html").write_text("<html>")
    store.publish(local_root(uri))
    assert (tmp_path / "there/far/report.html").read_text() == "<html>"
    assert not (tmp_path / "there/far/report.html").samefile(local_root(uri) / "far/report.html")


def test_the_command_line_takes_a_uri(tmp_path: Path, scratch: Path) -> None:
    uri = f"file://{tmp_path}/there"
    with store.opened(local_root(uri), BanditConfig(name="far")) as run:
        run.write_json("summary.json", {"verdict": "it is so"})
        run.write_text("checkpoints/large", "not to be fetched for a list")
    other_machine(scratch)
    done = CliRunner().invoke(cli, ["runs", "--runs", uri])
    assert done.exit_code == 0, done.output
    assert done.output.split() == ["far", "it", "is", "so"]
    root = local_root(uri)
    assert {path.name for path in (root / "far").iterdir()} == {"config.yaml", "summary.json"}
    assert (store.find(root, "far").folder / "checkpoints/large").exists(), "for a report it is"
    refused = CliRunner().invoke(cli, ["runs", "--runs", "s3://key:secret@bucket"])
    assert isinstance(refused.exception, ConfigError)
    assert "secret" not in str(refused.exception)


class Onlooker:
    """A judge that prefers the first answer, and looks at what stands at the URI while it works."""

    name = "onlooker"

    def __init__(self, place: Path) -> None:
        self.place, self.held = place, list[bool]()

    def compare(self, pairs: Sequence[base.Pair]) -> list[base.Verdict]:
        self.held.append((self.place / lease.LEASE).exists())
        return [base.Verdict("a") for _ in pairs]


def test_labels_are_held_and_copied_while_a_judge_gives_them(tmp_path: Path, scratch: Path) -> None:
    uri, pairs = f"file://{tmp_path}/there", [Pair("p", "Q?", "yes", "no")]
    with store.opened(local_root(uri), BanditConfig(name="far")) as run:
        run.keep()
    judge = Onlooker(tmp_path / "there" / "far")
    label_by_judge(run, pairs, judge, "ai-x")
    assert judge.held == [True]
    other_machine(scratch)
    found = store.find(local_root(uri), "far")
    assert read_labels(label_file(found.folder / LABELS, "ai-x"))["p"].choice == "a"
