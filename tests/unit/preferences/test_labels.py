"""The labels file: what was told to be saved is there after any end of the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, DataError, RunLockedError, StorageError
from rlpersona.preferences.labels import Label, LabelBook, annotators, label_file, read_labels


def label(pair: str, choice: str | None = "a", **more: object) -> Label:
    return Label(pair, choice, **more)


def test_labels_come_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "labels" / "ann.jsonl"
    given_labels = [
        label("p1", "b", sides=("BA:b",), at="2026-01-01T00:00:00+00:00", seconds=1.5),
        label("p2", None, error="filter"),
        label("p3", "skip"),
    ]
    with LabelBook(path) as book:
        book.add(*given_labels)
    assert list(read_labels(path).values()) == given_labels
    with LabelBook(path) as book:
        book.add(label("p1", "tie"))
        assert list(book.labels) == ["p2", "p3", "p1"], "a changed label is the last one given"
    assert annotators(path.parent) == ["ann"]


@settings(deadline=None, max_examples=50)  # the disk sets the pace
@given(st.lists(st.one_of(st.just("undo"), st.tuples(st.sampled_from("xyz"), st.sampled_from("ab")))))
def test_any_presses_are_replayed(
    tmp_path_factory: pytest.TempPathFactory, presses: list[str | tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("any") / "a.jsonl"
    stack: list[tuple[str, str]] = []
    with LabelBook(path) as book:
        for press in presses:
            if isinstance(press, str):
                undone = book.undo()
                expected = stack.pop() if stack else None
                assert (undone and (undone.pair, undone.choice)) == expected
            else:
                stack = [(pair, choice) for pair, choice in stack if pair != press[0]]
                stack.append(press)
                book.add(label(*press))
    replayed = [(one.pair, one.choice) for one in read_labels(path).values()]
    assert replayed == stack


def test_a_torn_last_line_is_cut_off_wherever_it_tears(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with LabelBook(path) as book:
        book.add(label("p1"))
        size = path.stat().st_size
        book.add(label("p2", "b", at="ä"))
    whole = path.read_bytes()
    for cut in range(size, len(whole)):
        path.write_bytes(whole[:cut])
        assert list(read_labels(path)) == ["p1"]
        with LabelBook(path) as book:
            book.add(label("p3"))
        assert list(read_labels(path)) == ["p1", "p3"]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[1]",
        b"\0\0\0",
        b'{"pair": "p", "choice": "c", "sides": []}',
        b'{"pair": "p", "choice": null, "sides": [], "error": null}',
        b'{"pair": "p", "choice": "a", "sides": [], "error": "both"}',
        b'{"pair": "p", "choice": "a", "sides": [], "more": 1}',
    ],
)
def test_a_damaged_line_in_the_middle_is_refused_with_its_place(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    with LabelBook(path) as book:
        book.add(label("p1"))
    good = path.read_bytes()
    path.write_bytes(good + line + b"\n" + good)
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: not a label"):
        read_labels(path)
    with pytest.raises(DataError, match="line 2"):
        LabelBook(path)
    assert path.read_bytes() == good + line + b"\n" + good, "refused, not changed"


def test_one_writer_at_a_time_and_none_after_its_death(tmp_path: Path) -> None:
    path = tmp_path / "ann.jsonl"
    script = (
        "import sys; from pathlib import Path; from rlpersona.preferences.labels import LabelBook;"
        "book = LabelBook(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "open\n"
    with pytest.raises(RunLockedError, match="'ann'"):
        LabelBook(path)
    assert read_labels(path) == {}
    other.kill()
    other.communicate()
    LabelBook(path).close()


def test_a_full_disk_stops_and_keeps_what_was_there(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.jsonl"
    with LabelBook(path) as book:
        book.add(label("p1"))
    before = path.read_bytes()
    child = os.fork()
    if child == 0:  # the limit on a file's size stands in for the disk's, and holds for this child alone
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, len(before) + 10))
        try:
            LabelBook(path).add(label("p2"))
        except StorageError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write"):
        LabelBook(tmp_path / "file" / "ann.jsonl")


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 65, "a b", "ä", "a\n"])
def test_names_that_cannot_be_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="annotator's name"):
        label_file(tmp_path, name)


def test_every_line_is_json_that_others_can_read(tmp_path: Path) -> None:
    with LabelBook(tmp_path / "a.jsonl") as book:
        book.add(label("p1", sides=("AB:a",)))
        book.undo()
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[0]["sides"] == ["AB:a"]
    assert lines[1]["undo"] == "p1"
