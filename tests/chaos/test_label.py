"""SIGKILL while people and judges label: what was shown as saved is there, and nothing is doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rlpersona.preferences.labels import read_labels
from tests.support import rlpersona, wait_until
from tests.unit.preferences.screens import Screen

COMMAND = [sys.executable, "-m", "rlpersona.cli", "label"]
PAIRS = 20_000  # the last third takes some tenths of a second to judge: time to kill


def write_pairs(path: Path, n: int) -> Path:
    """Pairs over the nano world's sums: for the rules the right answer wins."""
    rows = []
    for k in range(n):
        a, b = 1 + k % 9, 1 + k // 9 % 9
        rows.append(
            {
                "id": f"p{k}",
                "prompt": f"What is {a} + {b}?",
                "a": f"It is {a + b}.",
                "b": f"It is {k}00.",
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_kill_after_any_key_loses_nothing(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", 9)
    runs = ["name=chaos", f"pairs={pairs}", "--runs", str(tmp_path / "runs"), "--annotator", "ann"]
    labels = tmp_path / "runs" / "chaos" / "labels" / "ann.jsonl"
    done = 0
    for keys in ("1", "t", "2u", "s", "12", "u"):
        screen = Screen([*COMMAND, "human", *runs])
        try:
            screen.wait_for(f"{done} of 9")
            for key in keys:
                screen.press(key)
                done += -1 if key == "u" else 1
                screen.wait_for(f"{done} of 9")
            assert screen.kill() == -signal.SIGKILL
        finally:
            screen.close()
        assert len(read_labels(labels)) == done
    events = labels.read_text().splitlines()
    assert len(events) == 8, "each key once"
    said = [json.loads(event).get("choice", "undo") for event in events]
    assert [word if len(word) > 1 else "1 or 2" for word in said] == [
        "1 or 2",
        "tie",
        "1 or 2",
        "undo",
        "skip",
        "1 or 2",
        "1 or 2",
        "undo",
    ]


def test_kill_at_any_moment_of_a_key_leaves_a_file_that_opens(tmp_path: Path) -> None:
    """The kill falls into the key: it is counted or it is not, and either way the file is whole."""
    pairs = write_pairs(tmp_path / "pairs.jsonl", 30)
    runs = ["name=chaos", f"pairs={pairs}", "--runs", str(tmp_path / "runs"), "--annotator", "ann"]
    labels = tmp_path / "runs" / "chaos" / "labels" / "ann.jsonl"
    done = 0
    for pause in (0.0, 0.0005, 0.001, 0.002, 0.004):
        screen = Screen([*COMMAND, "human", *runs])
        try:
            screen.wait_for(f"{done} of 30")
            screen.press("1")
            time.sleep(pause)
            screen.kill()
        finally:
            screen.close()
        found = len(read_labels(labels))
        assert found in (done, done + 1)
        done = found


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7])
def test_a_killed_judge_run_resumes_to_the_same_labels(tmp_path: Path, share: float) -> None:
    pairs = write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    words = ["ai", "name=chaos", f"pairs={pairs}", "--runs", str(tmp_path / "runs")]
    labels = tmp_path / "runs" / "chaos" / "labels" / "ai-rules.jsonl"

    def count() -> int:
        return labels.read_bytes().count(b"\n") if labels.exists() else 0

    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: count() > share * PAIRS or process.poll() is not None, 120, every=0.002)
    process.kill()
    process.communicate()
    killed_at = count()
    assert 0 < killed_at < PAIRS, "killed too late to show anything"
    done = rlpersona("label", *words, "--resume")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in labels.read_text().splitlines()]
    assert [line["pair"] for line in lines] == [f"p{k}" for k in range(PAIRS)], "each once, in order"
    assert {line["choice"] for line in lines} <= {"a", "tie"}
