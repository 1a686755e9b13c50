"""Processes that are killed, files that are torn, storage that fails: what a run and its copy keep."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from rlpersona.errors import StorageError
from rlpersona.storage import Mirror, Place, lease, listing, mirror
from rlpersona.storage.places import Beat
from tests.support import wait_until
from tests.unit.storage.test_mirror import held, write


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "SETTLE", 0.0)
    monkeypatch.setattr(mirror, "EVERY", 3600.0)  # passes are made by hand
    monkeypatch.setattr(mirror, "QUIET", 3)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"file://{tmp_path}/there/run"


def broken(*_: object) -> None:
    raise StorageError("the line is cut")


def killed(folder: Path, uri: str) -> None:
    """A process that copies `a` and `gone`, writes `a` again and removes `gone`, and dies."""
    one = Mirror(folder, uri)
    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(StorageError),
        one.working(),
    ):
        write(folder / "gone", "copied")
        write(folder / "a", "copied")
        one.push()
        write(folder / "a", "never copied")
        (folder / "gone").unlink()
        patch.setattr(Place, "write", broken)


def test_a_killed_process_goes_on_with_what_it_had_not_copied(tmp_path: Path, uri: str) -> None:
    killed(tmp_path / "a/run", uri)
    assert held(tmp_path / "there/run") == {"a": b"copied", "gone": b"copied"}
    again = Mirror(tmp_path / "a/run", uri)
    again.pull()
    with again.working():
        assert held(again.folder) == {"a": b"never copied"}
    assert held(tmp_path / "there/run") == {"a": b"never copied"}


def test_storage_that_fails_at_the_start_costs_it_nothing(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tmp_path / "a/run", uri)
    again = Mirror(tmp_path / "a/run", uri)
    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(Place, "files", broken)
        with again.working():
            pytest.fail("it does not begin")
    with again.working():
        assert held(again.folder) == {"a": b"never copied"}


def test_after_another_machine_it_does_not(tmp_path: Path, uri: str) -> None:
    killed(tmp_path / "a/run", uri)
    lease.write_lease(Mirror(tmp_path / "b/run", uri).place, lease.Lease("a machine", free=True))
    with Mirror(tmp_path / "a/run", uri).working():
        assert held(tmp_path / "a/run") == {"a": b"copied", "gone": b"copied"}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are written to storage, in their order."""
    names, plain = list[str](), Place.write

    def noted(self: Place, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        if name != lease.LEASE:
            names.append(name)
        plain(self, name, content, beat)

    monkeypatch.setattr(Place, "write", noted)
    return names


def test_nothing_goes_there_before_what_followed_it_is_there(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, plain = Mirror(tmp_path / "a/run", uri), Place.write

    def meanwhile(self: Place, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        plain(self, name, content, beat)
        if name == "marker.json" and content == b"1":  # the run is faster than the line
            write(one.folder / "checkpoints/2", "2")
            write(one.folder / "marker.json", "2")
            (one.folder / "checkpoints/1").unlink()

    monkeypatch.setattr(Place, "write", meanwhile)
    with one.working():
        write(one.folder / "checkpoints/1", "1")
        write(one.folder / "marker.json", "1")
        one.push()
        assert held(tmp_path / "there/run") == {"checkpoints/1": b"1", "marker.json": b"1"}
        one.push()
        assert held(tmp_path / "there/run") == {"checkpoints/2": b"2", "marker.json": b"2"}


def test_the_order_outlasts_a_pass_that_failed(tmp_path: Path, uri: str, written: list[str]) -> None:
    one = Mirror(tmp_path / "a/run", uri)
    with one.working():
        write(one.folder / "weights", "w" * (listing.SMALL + 1))
        write(one.folder / "marker.json", "1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Place, "write", broken)
            with pytest.raises(StorageError):
                one.push()
        one.push()
        assert written == ["weights", "marker.json"]


def test_rows_are_there_before_the_checkpoint_that_follows_them(
    tmp_path: Path, uri: str, written: list[str]
) -> None:
    one = Mirror(tmp_path / "a/run", uri)
    with one.working():
        write(one.folder / "config.yaml", "name: run")
        write(one.folder / "metrics.jsonl", '{"round": 1}\n')
        write(one.folder / "checkpoint.json", "1")
        write(one.folder / "metrics.jsonl", '{"round": 1}\n{"round": 2}\n')
        one.push()
        assert written == ["config.yaml", "metrics.jsonl", "checkpoint.json"]


def test_a_file_that_stays_torn_holds_nothing_up(tmp_path: Path, uri: str) -> None:
    with Mirror(tmp_path / "a/run", uri).working():
        write(tmp_path / "a/run/torn.json", '{"half": ')
        write(tmp_path / "a/run/whole.txt", "whole")
    assert set(held(tmp_path / "there/run")) == {"torn.json", "whole.txt"}


def test_a_folder_that_never_rests_is_not_called_copied(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, look = Mirror(tmp_path / "a/run", uri), Mirror._files

    def busy(self: Mirror) -> dict[str, listing.Found]:
        write(one.folder / "log", "x" * (len(held(one.folder).get("log", b"")) + 1))
        return look(self)

    with pytest.raises(StorageError, match="still writes"), one.working():
        monkeypatch.setattr(Mirror, "_files", busy)
        assert not one.push()
    there = lease.read_lease(one.place)
    assert there is not None
    assert not there.free


def test_a_file_that_cannot_be_read_is_tried_again(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mirror, "EVERY", 0.02)
    with caplog.at_level(logging.WARNING), Mirror(tmp_path / "a/run", uri).working():
        write(tmp_path / "a/run/calls.sqlite", "no database" * 100)
        wait_until(lambda: "not a database" in caplog.text, 10)
        (tmp_path / "a/run/calls.sqlite").unlink()
        with closing(sqlite3.connect(tmp_path / "a/run/calls.sqlite")) as live:
            live.execute("CREATE TABLE calls (n INTEGER)")
        wait_until((tmp_path / "there/run/calls.sqlite").exists, 10)


def test_a_second_interrupt_leaves_no_half_of_a_file(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, half, goes_on = Place.write, threading.Event(), threading.Event()

    def slow(self: Place, name: str, content: bytes | Path, beat: Beat = lambda: None) -> None:
        if name == "weights":
            half.set()
            os.kill(os.getpid(), signal.SIGINT)
            assert goes_on.wait(10)
        plain(self, name, content, beat)

    monkeypatch.setattr(Place, "write", slow)
    with pytest.raises(KeyboardInterrupt), Mirror(tmp_path / "a/run", uri).working():
        write(tmp_path / "a/run/weights", "w")
    assert half.is_set()
    goes_on.set()
    wait_until((tmp_path / "there/run/weights").exists, 10)
    wait_until(lambda: not any(one.name == "mirror" for one in threading.enumerate()), 10)


def test_a_reader_of_this_machine_never_puts_old_files_over_those_of_a_worker(
    tmp_path: Path, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Mirror(tmp_path / "b/run", uri).working():
        write(tmp_path / "b/run/metrics.jsonl", "1\n")
    plain, reads, main = Place.fetch, threading.Event(), threading.current_thread()

    def slow(self: Place, name: str, target: Path, beat: Beat = lambda: None) -> None:
        if threading.current_thread() is not main:
            reads.set()
            worked.wait(1)
        plain(self, name, target, beat)

    monkeypatch.setattr(Place, "fetch", slow)
    worked = threading.Event()
    reader = threading.Thread(target=Mirror(tmp_path / "a/run", uri).pull)
    reader.start()
    assert reads.wait(10)
    with Mirror(tmp_path / "a/run", uri).working():
        write(tmp_path / "a/run/metrics.jsonl", "1\n2\n")
        worked.set()
        reader.join()
    assert held(tmp_path / "there/run") == {"metrics.jsonl": b"1\n2\n"}


def test_rows_in_the_log_of_a_long_database_outlast_another_machine(tmp_path: Path, uri: str) -> None:
    database = tmp_path / "a/run/calls.sqlite"
    with Mirror(tmp_path / "a/run", uri).working():
        live = sqlite3.connect(database, isolation_level=None)
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE calls (n BLOB)")
        live.execute("INSERT INTO calls VALUES (zeroblob(2000000))")
    with Mirror(tmp_path / "b/run", uri).working():
        write(tmp_path / "b/run/other.txt", "other")
    Mirror(tmp_path / "a/run", uri).pull()
    assert (tmp_path / "a/run/other.txt").exists()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as found:
        assert found.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    live.close()


def test_what_a_service_of_this_machine_recorded_stays(tmp_path: Path, uri: str) -> None:
    first, second = Mirror(tmp_path / "a/run", uri), Mirror(tmp_path / "b/run", uri)
    with first.working():
        write(first.folder / "summary.json", "{}")
    second.pull()
    write(second.folder / "serving/feedback.sqlite", "acknowledged")
    with Mirror(tmp_path / "a/run", uri).working():
        write(first.folder / "report.html", "new")
    again = Mirror(tmp_path / "b/run", uri)
    again.pull()
    expected = {"serving/feedback.sqlite": b"acknowledged", "summary.json": b"{}", "report.html": b"new"}
    assert held(again.folder) == expected
    assert again.stale(), "it is copied when the service ends"


def test_records_of_two_machines_do_not_replace_each_other(tmp_path: Path, uri: str) -> None:
    for machine in ("a", "b"):
        one = Mirror(tmp_path / machine / "run", uri)
        write(one.folder / "serving/choices.jsonl", machine)
        one.pull()
        assert held(one.folder) == {"serving/choices.jsonl": machine.encode()}
        with one.working():
            assert held(one.folder) == {"serving/choices.jsonl": machine.encode()}
    one = Mirror(tmp_path / "a/run", uri)
    one.pull()
    assert held(one.folder) == {"serving/choices.jsonl": b"a"}
    new = Mirror(tmp_path / "c/run", uri)
    new.pull()
    assert held(new.folder) == {"serving/choices.jsonl": b"b"}
