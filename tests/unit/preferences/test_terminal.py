"""The desk in a real pseudo-terminal."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError
from rlpersona.preferences.desk import Desk
from rlpersona.preferences.labels import LabelBook, read_labels
from rlpersona.report.desk import label_in_terminal
from tests.unit.preferences.screens import Screen, labels_lines

LABELLER = """
import json, sys
from pathlib import Path
from rlpersona.preferences.desk import Desk
from rlpersona.preferences.labels import LabelBook
from rlpersona.preferences.pairs import Pair
from rlpersona.report.desk import label_in_terminal
from rlpersona.report.words import clean_block
pairs = [Pair(**row) for row in json.loads(Path(sys.argv[1]).read_text())]
with LabelBook(Path(sys.argv[2])) as book:
    label_in_terminal(Desk(pairs, book, 0, clean_block), "Be fair.", sys.stdin, sys.stdout)
print("bye", book.path.stem)
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rows = [
        {"id": f"p{k}", "prompt": f"Prompt {k}?", "a": f"alpha {k}", "b": f"beta {k}"} for k in range(6)
    ]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    return tmp_path / "pairs.json", tmp_path / "ann.jsonl"


@pytest.fixture
def screen(files: tuple[Path, Path]) -> Iterator[Screen]:
    opened = Screen([sys.executable, "-c", LABELLER, *map(str, files)])
    yield opened
    opened.close()


def choices(path: Path) -> list[str | None]:
    return [label.choice for label in read_labels(path).values()]


def test_every_key_does_what_the_screen_says(screen: Screen, files: tuple[Path, Path]) -> None:
    first = screen.wait_for("q quit")
    assert "Be fair." in first
    assert "0 of 6 labelled" in first
    left_is_a = first.index("alpha") < first.index("beta")
    screen.press("1")
    screen.wait_for("1 of 6 labelled (1 chosen)")
    assert choices(files[1]) == ["a" if left_is_a else "b"]
    screen.press("t")
    screen.wait_for("2 of 6")
    screen.press("S")
    screen.wait_for("3 of 6 labelled (1 chosen, 1 tie, 1 skip)")
    screen.press("u")
    screen.wait_for("2 of 6")
    screen.press("x")
    screen.wait_for("2 of 6")
    screen.press("2")
    screen.wait_for("3 of 6 labelled (2 chosen, 1 tie)")
    assert choices(files[1])[1:2] == ["tie"]
    screen.press("q")
    assert screen.finish() == 0
    assert "bye ann" in screen.seen
    assert "\x1b[?1049l" in screen.seen
    assert screen.restored()
    assert len(choices(files[1])) == 3


def test_pastes_and_escape_sequences_label_nothing(screen: Screen, files: tuple[Path, Path]) -> None:
    screen.wait_for("q quit")
    for keys in ("\x1b[1;2A", "1212", "\x1b[200~1\x1b[201~", "ü", "\x1b[A"):
        screen.press(keys)
        screen.wait_for("0 of 6")
    assert labels_lines(files[1]) == []
    screen.press("u")
    screen.wait_for("nothing to undo")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(
    screen: Screen, files: tuple[Path, Path], how: signal.Signals
) -> None:
    screen.wait_for("q quit")
    screen.press("1")
    screen.wait_for("1 of 6")
    assert screen.kill(how) == 0
    assert screen.restored()
    assert len(choices(files[1])) == 1


def test_a_narrow_window_stacks_and_scrolls(files: tuple[Path, Path]) -> None:
    long = [{"id": "p", "prompt": "Q?", "a": "alpha " * 60 + "end-a", "b": "alpha " * 60 + "end-b"}]
    files[0].write_text(json.dumps(long))
    screen = Screen([sys.executable, "-c", LABELLER, *map(str, files)], columns=40, rows=16)
    try:
        shown = screen.wait_for("more lines")
        assert "end-" not in shown
        for _ in range(3):
            screen.press(" ")
            seen = screen.wait_for("1 left")
        assert "end-" in seen
        screen.resize(140, 40)
        wide = screen.wait_for("Q?") + screen.wait_for("q quit")
        assert max(len(line) for line in wide.split("\n")) > 100, "side by side"
        assert labels_lines(files[1]) == []
    finally:
        screen.close()


def test_without_a_terminal_the_page_is_offered(tmp_path: Path) -> None:
    with (
        LabelBook(tmp_path / "ann.jsonl") as book,
        (tmp_path / "out").open("w+") as file,
        pytest.raises(ConfigError, match="no terminal") as caught,
    ):
        label_in_terminal(Desk([], book, 0, str), "", file, file)
    assert "--page" in caught.value.hint


def test_a_terminal_without_unicode_gets_ascii(files: tuple[Path, Path]) -> None:
    rows = [{"id": "p", "prompt": "José?", "a": "漢字 alpha", "b": "\x1b]0;owned\x07beta"}]
    files[0].write_text(json.dumps(rows))
    screen = Screen([sys.executable, "-c", LABELLER, *map(str, files)], LANG="C", LC_ALL="C")
    try:
        shown = screen.wait_for("q quit")
        assert "Jose?" in shown
        assert "\\u6f22\\u5b57 alpha" in shown
        assert "\x1b]0" not in shown
        assert "\\ufffd]0;owned\\ufffdbeta" in shown
        assert shown.isascii()
    finally:
        screen.close()
