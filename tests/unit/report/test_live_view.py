"""The view of a run while it works, on a terminal and in a log."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from rlpersona.report import progress
from rlpersona.report.live import follow, progress_bar, watch
from rlpersona.report.progress import Progress
from rlpersona.report.records import Round
from rlpersona.report.tail import RoundTail
from tests.unit.report.run_folders import rounds


def line(number: int, **more: object) -> str:
    return json.dumps(rounds()[number - 1] | more) + "\n"


def follow_whole(folder: Path) -> str:
    """What `follow` writes about a run that has ended."""
    done, out = threading.Event(), io.StringIO()
    done.set()
    follow(folder, done, out)
    return out.getvalue()


def read_all(keeper: int) -> str:
    """Everything that was written to a pseudo-terminal whose other end is closed."""
    content = b""
    with suppress(OSError):  # Linux ends such a stream with EIO
        while part := os.read(keeper, 65536):
            content += part
    os.close(keeper)
    return content.decode()


def test_tail_waits_for_the_file_and_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    tail = RoundTail(path)
    assert tail.read() == []
    second = line(2, top="Zoë")
    cut = second.encode().index(b"\\u00eb") + 3
    path.write_bytes(line(1).encode() + second.encode()[:cut])
    assert [one.round for one in tail.read()] == [1]
    with path.open("ab") as file:
        file.write(second.encode()[cut:])
    assert [(one.round, one.top) for one in tail.read()] == [(2, "Zoë")]
    assert tail.read() == []


def test_tail_skips_what_is_no_round(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"half": \n[1]\n\xff\xfe\n\n{"round": -1, "rounds": 2}\n' + line(3).encode())
    assert [one.round for one in RoundTail(path).read()] == [3]


def test_tail_reads_a_rewound_file_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(1) + line(2) + line(3))
    tail = RoundTail(path)
    tail.read()
    replacement = tmp_path / "other"
    # As long as the old file, so that only the file's identity gives it away.
    replacement.write_text(line(1) + line(2) + line(4))
    replacement.replace(path)
    assert [one.round for one in tail.read()] == [1, 2, 4]


def test_pace_by_hand() -> None:
    pace = Progress()
    assert (pace.last, pace.share, pace.rate, pace.left) == (None, 0.0, None, None)
    pace.add([Round(round=1, rounds=10, evaluations=100, seconds=4.0)])
    assert (pace.share, pace.rate, pace.left) == (0.1, 25.0, 36.0)
    pace.add([Round(round=3, rounds=10, evaluations=300, seconds=8.0)])
    assert (pace.share, pace.rate, pace.left) == (0.3, 50.0, 14.0)
    # A resumed run continues from its checkpoint: the pace starts anew.
    pace.add([Round(round=2, rounds=10, evaluations=200, seconds=6.0)])
    assert (pace.share, pace.rate, pace.left) == (0.2, None, None)


def test_pace_follows_the_last_rounds_only() -> None:
    pace = Progress()
    slow = [Round(round=n, rounds=99, evaluations=n, seconds=10.0 * n) for n in range(1, 21)]
    fast = [Round(round=20 + n, rounds=99, evaluations=20 + n, seconds=200 + n) for n in range(1, 13)]
    pace.add([*slow, *fast])
    assert pace.rate == pytest.approx(1.0)
    assert pace.left == pytest.approx(99 - 32)


def test_a_log_gets_plain_lines(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(line(n) for n in range(1, 13)))
    text = follow_whole(tmp_path)
    assert "\x1b" not in text
    assert "\r" not in text
    (only,) = text.splitlines()
    assert only.startswith("round 12/60 (20 %), 320 evaluations/s, 19 s left, reward ")
    assert "top Isaac Newton 18.0 %, entropy 4.77 nats, 1 unscored" in only


def test_an_empty_run_writes_nothing(tmp_path: Path) -> None:
    assert follow_whole(tmp_path) == ""
    assert follow_whole(tmp_path / "not there") == ""


def test_lines_are_as_rare_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock)
    throttle = progress.Throttle()
    shown = []
    for step in range(101):  # 100 s, 1 % a second: 10 % is the rarer
        clock = float(step)
        shown += [step] if throttle.due(step / 100) else []
    assert shown == list(range(0, 101, 10))
    throttle, shown = progress.Throttle(), []
    for step in range(101):  # 10 s, 10 % a second: 5 s is the rarer
        clock = 200 + step / 10
        shown += [step] if throttle.due(step / 100) else []
    assert shown == [0, 50, 100]


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    name = "\x1b[2J\x07evil\u202e [bold]x[/bold] " + "long " * 50
    (tmp_path / "metrics.jsonl").write_text(line(1, top=name))
    text = follow_whole(tmp_path)
    assert not set(text) & set("\x1b\x07\u202e")
    assert "[bold]x" in text
    assert len(text.splitlines()) == 1


def test_the_view_ends_with_the_last_round(tmp_path: Path) -> None:
    out = io.StringIO()
    with watch(tmp_path / "run", out):
        (tmp_path / "run").mkdir()
        with (tmp_path / "run" / "metrics.jsonl").open("w") as file:
            for number in range(1, 61):
                file.write(line(number))
                file.flush()
                time.sleep(0.005)
    assert out.getvalue().splitlines()[-1].startswith("round 60/60 (100 %)")
    assert 1 <= len(out.getvalue().splitlines()) <= 3


def test_a_failing_run_keeps_its_error_and_a_closed_stream_is_no_error(tmp_path: Path) -> None:
    out = io.StringIO()
    out.close()
    (tmp_path / "metrics.jsonl").write_text(line(1))
    with pytest.raises(KeyError, match="of the work"), watch(tmp_path):
        raise KeyError("of the work")
    done = threading.Event()
    done.set()

    class Closing(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    follow(tmp_path, done, Closing())


@pytest.mark.parametrize(("locale", "bar"), [("en_US.UTF-8", "━"), ("C", "-")])
def test_on_a_terminal_there_is_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str, bar: str
) -> None:
    monkeypatch.setenv("LANG", locale)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("LC_ALL", "LC_CTYPE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "metrics.jsonl").write_text(line(12, top="Zoë"))
    keeper, end = pty.openpty()
    done = threading.Event()
    done.set()
    with os.fdopen(end, "w", encoding="utf-8") as terminal:
        follow(tmp_path, done, terminal)
    shown = read_all(keeper)
    assert "round 12/60" in shown
    assert bar * 3 in shown
    assert ("Zoë" if locale != "C" else "Zoe") in shown
    assert shown.isascii() == (locale == "C")
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is given back


def on_terminal(folder: Path) -> list[str]:
    """The last picture of a finished run on a terminal."""
    keeper, end = pty.openpty()
    done = threading.Event()
    done.set()
    with os.fdopen(end, "w", encoding="utf-8") as terminal:
        follow(folder, done, terminal)
    last = read_all(keeper).rpartition("\x1b[1A\x1b[2K")[2]
    return [re.sub(r"\x1b\[[?\d;]*\w", "", line).rstrip() for line in last.splitlines()]


@pytest.mark.parametrize("columns", [120, 70, 50, 30])
def test_leaders_are_shown_with_whole_numbers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    monkeypatch.setenv("COLUMNS", str(columns))
    leaders = [
        {"persona": "Marie \x1b[2JCurie " + "of Warsaw " * 9, "mean": 0.8, "low": 0.7, "high": 0.88,
         "evaluations": 1640, "probability": 0.25},
        {"persona": "Unseen", "mean": None, "low": None, "high": None, "evaluations": 0},
    ]  # fmt: skip
    row = line(12, leaders=leaders, budget=7680, draws=1600)
    (tmp_path / "metrics.jsonl").write_text(row)
    shown = on_terminal(tmp_path)
    assert all(len(one) <= columns for one in shown)
    rows = [" ".join(one.split()) for one in shown]
    if columns >= 70:
        assert any("spent 1,600 of 7,680 evaluations, 6,080 left" in one for one in rows)
    numbers = ["80.0 % [70.0, 88.0]", "25.0 %", "1,640"][: {120: 3, 70: 3, 50: 1, 30: 0}[columns]]
    curie = next(one for one in rows if one.startswith("Marie"))
    assert curie.endswith(" ".join(["...", *numbers]))
    assert next(one for one in rows if one.startswith("Unseen")) == " ".join(
        ["Unseen", "not measured", "not measured", "0"][: len(numbers) + 1]
    )


def test_progress_bar_in_a_log() -> None:
    out = io.StringIO()
    with progress_bar("training", out) as advance:
        for step in range(1, 201):
            advance(step, 200, 1 / step)
    first, last = out.getvalue().splitlines()
    assert first == "training 1/200 (0 %), loss 1.000"  # no pace to tell yet
    assert last == "training 200/200 (100 %), loss 0.005, 0 s left"
