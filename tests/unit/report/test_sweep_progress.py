"""The view of trainings reads their folders, whatever state these are in."""

from __future__ import annotations

import io
from pathlib import Path

from rlpersona.report.sweep_progress import State, state_of, watch_trainings


def test_the_state_is_that_of_the_folders(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    for folder, text in zip(
        folders,
        ['{"step": 0}\n{"step": 1}\n{"step": 2}\n', '{"step": 0}\n', '{"step": 1}\n{"st', ""],
        strict=True,
    ):
        folder.mkdir()
        (folder / "metrics.jsonl").write_text(text)
    (folders[0] / "done.json").write_text("{}")
    missing = tmp_path / "not-begun"
    found = state_of([*folders, missing], 2)
    assert found == State(trainings=5, done=1, running=2, steps=3, total=10)
    assert found.share == 0.3
    assert state_of([*folders, missing], None).share == 0.2


def test_lines_are_plain_where_nobody_watches(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 4}\n')
    stream = io.StringIO()
    with watch_trainings([tmp_path], 4, stream):
        (tmp_path / "done.json").write_text("{}")
    last = stream.getvalue().splitlines()[-1]
    assert last == "trainings 1/1 done, 0 running, step 4/4"
    assert "\x1b" not in stream.getvalue()


def test_a_lost_stream_does_not_end_the_work(tmp_path: Path) -> None:
    class Lost(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    ended = False
    with watch_trainings([tmp_path], 4, Lost()):
        ended = True
    assert ended
