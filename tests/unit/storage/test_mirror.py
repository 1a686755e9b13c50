"""A run folder and its copy: at whatever moment a machine dies, the copy can be resumed."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from rlpersona.errors import StorageError
from rlpersona.storage import Mirror, Place, lease, listing, mirror
from rlpersona.storage.places import Beat


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE", 0.0)
    monkeypatch.setattr(mirror, "EVERY", 3600.0)  # passes are made by hand


def held(folder: Path) -> dict[str, bytes]:
    """Files of a folder of runs, without locks and records."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_run_goes_there_and_comes_back_elsewhere(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/there/run"
    here, elsewhere = Mirror(tmp_path / "a/run", uri), Mirror(tmp_path / "b/run", uri)
    with here.working():
        write(here.folder / "config.yaml", "name: run")
        write(here.folder / "checkpoints/step-2/adapter/weights.safetensors", "w" * 3_000_000)
        write(here.folder / ".lock", "pid 1")
        write(here.folder / ".config.yaml.12.tmp", "half")
        write(here.folder / "conditions/.adapter-x1/new/weights", "half")
    elsewhere.pull()
    missing = held(here.folder).keys() - held(elsewhere.folder).keys()
    assert missing == {"conditions/.adapter-x1/new/weights"}
    assert held(elsewhere.folder) == held(tmp_path / "there/run")
    assert len(held(elsewhere.folder)) == 2


def test_what_is_gone_here_goes_there(tmp_path: Path) -> None:
    one = Mirror(tmp_path / "a/run", f"file://{tmp_path}/there/run")
    with one.working():
        write(one.folder / "checkpoints/1", "one")
        one.push()
        write(one.folder / "checkpoints/2", "two")
        (one.folder / "checkpoints/1").unlink()
    assert held(tmp_path / "there/run") == {"checkpoints/2": b"two"}


def test_a_folder_that_was_left_behind_becomes_what_stands_there(tmp_path: Path) -> None:
    """This machine was killed ahead of its copy, another one went on: its state is the run's."""
    uri = f"file://{tmp_path}/there/run"
    killed = Mirror(tmp_path / "a/run", uri)
    with killed.working():
        write(killed.folder / "metrics.jsonl", "1\n")
    write(killed.folder / "metrics.jsonl", "1\n2\n3\n")
    write(killed.folder / "events/000003.parquet", "never copied")
    other = Mirror(tmp_path / "b/run", uri)
    with other.working():
        write(other.folder / "metrics.jsonl", "1\n2\n")
    again = Mirror(tmp_path / "a/run", uri)
    again.pull()
    assert held(again.folder) == {"metrics.jsonl": b"1\n2\n"}


def test_a_folder_that_is_ahead_stays_ahead(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/there/run"
    first = Mirror(tmp_path / "a/run", uri)
    with first.working():
        write(first.folder / "metrics.jsonl", "1\n")
    write(first.folder / "metrics.jsonl", "1\n2\n")  # by the same owner, then killed
    again = Mirror(tmp_path / "a/run", uri)
    with again.working():
        assert (again.folder / "metrics.jsonl").read_text() == "1\n2\n"
    assert held(tmp_path / "there/run") == {"metrics.jsonl": b"1\n2\n"}


def test_only_what_changed_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"file://{tmp_path}/there/run"
    written: list[str] = []
    plain = Place.write

    def counted(self: Place, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        written.append(name)
        plain(self, name, content, beat)

    monkeypatch.setattr(Place, "write", counted)
    for text in ("one", "two"):
        with Mirror(tmp_path / "a/run", uri).working():
            write(tmp_path / "a/run/changing", text)
            if text == "one":
                write(tmp_path / "a/run/still", "still")
    assert sorted(name for name in written if name != lease.LEASE) == ["changing", "changing", "still"]


def test_a_run_that_left_nothing_leaves_nothing_there(tmp_path: Path) -> None:
    one = Mirror(tmp_path / "a/run", f"file://{tmp_path}/there/run")
    with pytest.raises(ZeroDivisionError), one.working():
        write(one.folder / "config.yaml", "name: run")
        one.push()
        (one.folder / "config.yaml").unlink()
        raise ZeroDivisionError
    assert held(tmp_path / "there") == {}
    assert not (tmp_path / "there/run" / lease.LEASE).exists()


def test_a_process_that_is_told_to_end_makes_the_last_pass(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/there/run"
    one = Mirror(tmp_path / "a/run", uri)
    with pytest.raises(SystemExit) as ended, one.working():
        write(one.folder / "metrics.jsonl", "1\n")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
    assert ended.value.code == 143
    assert held(tmp_path / "there/run") == {"metrics.jsonl": b"1\n"}
    there = lease.read_lease(one.place)
    assert there is not None
    assert there.free, "another machine need not wait"


@pytest.mark.parametrize("dies_at", range(12))
def test_a_marker_never_arrives_before_what_it_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: int
) -> None:
    """A writer that never rests; the machine dies at its n-th request to storage."""
    uri, folder = f"file://{tmp_path}/there/run", tmp_path / "a/run"
    requests = 0
    plain = Place.write

    def failing(self: Place, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        nonlocal requests
        requests += 1
        if requests > dies_at + 2:  # of which two are the lease and the first marker
            raise StorageError("gone")
        plain(self, name, content, beat)

    def checkpoint(number: int) -> None:
        write(folder / f"checkpoints/{number}/small", f"{number}")
        write(folder / f"checkpoints/{number}/large", f"{number}" * (listing.SMALL + 1))
        write(folder / "marker.json", f"{number}")  # in place, as Ray Train writes its snapshot
        if number > 2:
            for old in (folder / f"checkpoints/{number - 2}").iterdir():
                old.unlink()

    monkeypatch.setattr(Place, "write", failing)
    one = Mirror(folder, uri)
    stop = threading.Event()

    def work() -> None:
        draw, number = random.Random(dies_at), 1
        while not stop.wait(draw.choice([0.03, 0.1])):
            number += 1
            checkpoint(number)

    writer = threading.Thread(target=work)
    with pytest.raises(StorageError), one.working():
        checkpoint(1)
        one.push()
        writer.start()
        try:
            while True:
                one.push()
        finally:
            stop.set()
            writer.join()
    there = held(tmp_path / "there/run")
    if "marker.json" in there:
        marked = there["marker.json"].decode()
        assert there[f"checkpoints/{marked}/small"] == marked.encode()
        assert len(there[f"checkpoints/{marked}/large"]) > listing.SMALL


def test_a_checkpoint_that_goes_while_it_is_copied_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray keeps two checkpoints; a slow line must not leave a marker that points nowhere."""
    one = Mirror(tmp_path / "a/run", f"file://{tmp_path}/there/run")
    plain = Place.write

    def slow(self: Place, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        if name == "first.txt":  # the line is slow, and the run goes on
            (one.folder / "checkpoints/1/large").unlink()
            (one.folder / "checkpoints/1/small").unlink()
        plain(self, name, content, beat)

    with one.working():
        write(one.folder / "first.txt", "first")
        write(one.folder / "checkpoints/1/large", "1" * (listing.SMALL + 1))
        write(one.folder / "checkpoints/1/small", "1")
        write(one.folder / "marker.json", "1")
        monkeypatch.setattr(Place, "write", slow)
        one.push()
        monkeypatch.undo()
        there = held(tmp_path / "there/run")
        assert there["marker.json"] == b"1"
        assert set(there) >= {"checkpoints/1/large", "checkpoints/1/small"}
        assert not (one.folder / mirror.STAGE).exists()


def test_a_database_is_copied_whole_while_it_is_written(tmp_path: Path) -> None:
    one = Mirror(tmp_path / "a/run", f"file://{tmp_path}/there/run")
    with one.working():
        live = sqlite3.connect(one.folder / "calls.sqlite", isolation_level=None)
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE calls (n INTEGER)")
        live.execute("INSERT INTO calls VALUES (1)")
        one.push()
        live.execute("INSERT INTO calls VALUES (2)")
        one.push()  # the file is as it was, its log is longer
        live.execute("BEGIN")
        live.execute("INSERT INTO calls VALUES (3)")
        one.push()
        live.execute("ROLLBACK")
        other = Mirror(tmp_path / "b/run", one.place.uri)
        other.pull()
        copy = sqlite3.connect(other.folder / "calls.sqlite")
        assert copy.execute("SELECT n FROM calls ORDER BY n").fetchall() == [(1,), (2,)]
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copy.close()
        live.close()
    assert not list((tmp_path / "there/run").glob("*-wal"))
