"""`rlpersona label` from sampling to training rows, as a person runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judge_server import judge_server
from tests.support import rlpersona
from tests.unit.preferences.screens import Screen

PAIRS = [{"prompt": f"Question {k}?", "a": f"first {k}", "b": f"second answer {k}"} for k in range(12)]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose pairs the rules have labelled."""
    work = tmp_path_factory.mktemp("work")
    done = rlpersona("label", "ai", "--preset", "nano-persuasion", cwd=work)
    assert done.returncode == 0, done.stderr
    assert "Flaws: none" in done.stdout
    assert "ai-rules" in done.stdout
    assert "\x1b" not in done.stdout
    return work / "runs" / "nano-persuasion"


def test_all_pairs_are_labelled_and_the_summary_says_so(labelled: Path) -> None:
    report = json.loads((labelled / "examination.json").read_text())
    assert report["pairs"] > 60
    assert report["marks"][0]["labelled"] == report["pairs"]
    assert report["marks"][0]["failed"] == 0
    assert 0 < report["marks"][0]["ties"]["estimate"] < 0.3
    assert f"ai-rules {report['pairs']}" in rlpersona("runs", cwd=labelled.parents[1]).stdout


def test_a_second_start_needs_resume_and_then_asks_nothing(labelled: Path) -> None:
    work = labelled.parents[1]
    before = (labelled / "labels" / "ai-rules.jsonl").read_bytes()
    again = rlpersona("label", "ai", "nano-persuasion", cwd=work)
    assert again.returncode == 6
    assert "--resume" in again.stderr
    assert rlpersona("label", "ai", "nano-persuasion", "--resume", cwd=work).returncode == 0
    assert rlpersona("label", "ai", "nano-persuasion", "seed=9", "--resume", cwd=work).returncode == 7
    assert (labelled / "labels" / "ai-rules.jsonl").read_bytes() == before


def test_a_person_labels_the_same_pairs_and_both_are_compared(labelled: Path) -> None:
    work = labelled.parents[1]
    words = ["label", "human", "nano-persuasion", "annotator=ann"]
    command = [sys.executable, "-m", "rlpersona.cli", *words, "--runs", str(work / "runs")]
    for first, keys in ((0, "12t"), (3, "su1")):
        screen = Screen(command)
        try:
            done = first
            screen.wait_for(f"{done} of ")
            for key in keys:
                screen.press(key)
                done += -1 if key == "u" else 1
                screen.wait_for(f"{done} of ")
            screen.press("q")
            assert screen.finish() == 0
            assert f"ann: {done} of" in screen.seen
            assert "rlpersona label human nano-persuasion --annotator ann" in screen.seen
        finally:
            screen.close()
    shown = rlpersona("label", "check", "nano-persuasion", cwd=work)
    assert shown.returncode == 0, shown.stderr
    assert "Cohen's kappa, ai-rules and ann" in shown.stdout


def test_splits_are_rows_for_training(labelled: Path) -> None:
    done = rlpersona("label", "split", "nano-persuasion", cwd=labelled.parents[1])
    assert done.returncode == 0, done.stderr
    splits = json.loads((labelled / "splits.json").read_text())
    prompts = []
    for part in ("train", "validation", "test"):
        lines = (labelled / "dpo" / "ai-rules" / f"{part}.jsonl").read_text().splitlines()
        assert len(lines) == splits["preferences"]["ai-rules"][part]
        prompts.append({json.loads(line)["prompt"][0]["content"] for line in lines})
    assert not prompts[0] & prompts[1] | prompts[0] & prompts[2] | prompts[1] & prompts[2]


def test_without_a_terminal_human_says_what_to_do(tmp_path: Path) -> None:
    done = rlpersona("label", "human", "nano-persuasion", cwd=tmp_path)
    assert done.returncode == 2
    assert "--page" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_bad_file_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    rows = [*PAIRS, {"prompt": "x", "a": "", "b": "y"}]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with judge_server() as server:
        words = ["label", "ai", "pairs=p.jsonl", "name=mine", "--judge", "openai", "--judge-model", "m"]
        done = rlpersona(*words, "--base-url", server.base_url, cwd=tmp_path)
        assert server.stats().requests == 0
    assert done.returncode == 3
    assert "line 13: 'a' is empty" in done.stderr
    assert not list(tmp_path.glob("runs/*"))


def test_a_judge_behind_an_api_is_paid_once_and_its_bias_is_shown(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    always = {"": '{"reason": "it stands first", "winner": "A"}'}
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test-canary-0123456789abcdef"}
    words = [
        "label",
        "ai",
        "pairs=p.jsonl",
        "name=mine",
        "--judge",
        "openai",
        "--judge-model",
        "gpt-5-mini",
    ]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "rlpersona.cli", *words, *more, "--base-url", server.base_url]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    with judge_server(replies=always) as server:
        before = run("--estimate")
        assert before.returncode == 0, before.stderr
        assert "24 to make, 0 known" in before.stdout
        assert server.stats().requests == 0
        done = run()
        assert done.returncode == 0, done.stderr
        assert len(server.stats().billed) == 24, "both orders of each pair"
        labels = tmp_path / "runs" / "mine" / "labels" / "ai-gpt-5-mini.jsonl"
        said = [json.loads(line) for line in labels.read_text().splitlines()]
        assert {row["choice"] for row in said} == {"tie"}, (
            "a judge who looks at the place decides nothing"
        )
        assert {tuple(row["sides"]) for row in said} == {("AB:a", "BA:b")}
        report = json.loads((tmp_path / "runs" / "mine" / "examination.json").read_text())
        assert report["marks"][0]["first"]["estimate"] == 1.0
        assert report["marks"][0]["consistent"]["estimate"] == 0.0
        labels.unlink()
        assert "0 to make, 24 known" in run("--estimate").stdout
        assert run("--resume").returncode == 0
        assert server.stats().requests == 24, "what is in the ledger is not asked again"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"sk-test-canary" not in path.read_bytes(), path
