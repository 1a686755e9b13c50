"""The board of stages at work, on a terminal and off one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from rlpersona.report import progress
from rlpersona.report.board import board


class Screen(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_log_gets_the_first_line_the_last_and_few_between() -> None:
    log = io.StringIO()
    with board(log) as shown:
        for step in range(1, 101):
            shown.show("sft", "training", step, 100, f"loss {1 / step:.2f}")
            shown.show("sft-dpo", "answers by sft", step, 400)
        shown.say("sft", "trained on 7 rows")
    lines = log.getvalue().splitlines()
    assert lines[:2] == ["sft: training 1/100, loss 1.00", "sft-dpo: answers by sft 1/400"]
    assert lines[-2:] == ["sft: training 100/100, loss 0.01", "sft: trained on 7 rows"]
    assert len(lines) <= 6
    assert "\x1b" not in log.getvalue()


def test_a_terminal_shows_a_line_for_each_stage_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()
    with board(screen) as shown:
        shown.show("sft-rlhf", "training", 3, 24, "loss 0.690")
        shown.show("sft-rlaif", "answers by sft", 64, 736)
        drawn = screen.getvalue()
        shown.say("sft-rlhf", "trained on 62 rows")
        after = screen.getvalue()[len(drawn) :]
    assert "training 3/24, loss 0.690" in drawn
    assert "answers by sft 64/736" in drawn
    assert "sft-rlhf: trained on 62 rows" in after
    assert "training 3/24" not in after.split("trained on 62 rows")[-1], "its moving line is gone"


def test_the_steps_of_another_process_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_SHARE", 0.0)
    log, file = io.StringIO(), tmp_path / "metrics.jsonl"
    with board(log) as shown, shown.following("sft", file):
        rows = [{"step": step, "steps": 4, "loss": 2.5} for step in (1, 2, 3, 4)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 5, "st')
    assert log.getvalue().splitlines()[-1] == "sft: training 4/4, loss 2.500", "torn lines are not read"


def test_a_lost_terminal_does_not_end_the_work() -> None:
    log = io.StringIO()
    with board(log) as shown:
        log.close()
        shown.show("sft", "training", 1, 2)
        shown.say("sft", "done")
