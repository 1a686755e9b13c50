"""Verdicts of a judge become labels, block by block, and only what is missing is asked again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from rlpersona.commands.label import label
from rlpersona.config import LabelConfig
from rlpersona.errors import ConfigError, JudgeError
from rlpersona.experiments import judging
from rlpersona.experiments.judging import JudgeChoice, machine_name, opened_judge, resume_command
from rlpersona.experiments.labelling.labelling import as_label, check, label_by_judge, write_splits
from rlpersona.experiments.labelling.pairing import LABELS
from rlpersona.judges import base
from rlpersona.judges.ledger import Ledger
from rlpersona.judges.prices import cost_of
from rlpersona.preferences.labels import Label, LabelBook, label_file, read_labels
from rlpersona.preferences.pairs import Pair
from rlpersona.store import Run
from tests.judge_server import judge_server

PAIRS = [Pair(f"p{k}", f"Q{k}?", "x" * (k + 1), "y" * 5) for k in range(10)]


class Longest:
    """Prefers the longer answer; cannot decide on the prompts it is told to fail on; counts."""

    name = "longest"

    def __init__(self, fails: Sequence[str] = (), dies_after: int = 99) -> None:
        self.fails, self.asked, self.left = fails, [0] * 0, dies_after

    def compare(self, pairs: Sequence[base.Pair]) -> list[base.Verdict]:
        self.left -= 1
        if self.left < 0:
            raise JudgeError("no funds")
        self.asked += [len(pairs)]
        return [self._verdict(pair) for pair in pairs]

    def _verdict(self, pair: base.Pair) -> base.Verdict:
        if pair.question in self.fails:
            return base.Verdict(None, "AB: filter", (base.Side("AB", None, "filter"),))
        a, b = len(pair.a), len(pair.b)
        return base.Verdict("tie" if a == b else "a" if a > b else "b")


def test_a_failure_is_no_label_and_is_asked_again(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    labels = label_by_judge(run, PAIRS, Longest(["Q3?"]), "ai-longest", block=4)
    assert [labels[p.id].choice for p in PAIRS] == ["b", "b", "b", None, "tie", "a", "a", "a", "a", "a"]
    assert labels["p3"].error == "AB: filter"
    report = check(run, PAIRS)
    assert (report.marks[0].labelled, report.marks[0].failed) == (9, 1)
    well = Longest()
    assert label_by_judge(run, PAIRS, well, "ai-longest")["p3"].choice == "b"
    assert well.asked == [1]
    label_by_judge(run, PAIRS, well, "ai-longest")
    assert well.asked == [1], "nothing is left to ask"


def test_what_was_judged_before_a_stop_is_kept(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(JudgeError):
        label_by_judge(run, PAIRS, Longest(dies_after=2), "ai-x", block=3)
    kept = read_labels(label_file(run.folder / LABELS, "ai-x"))
    assert list(kept) == [f"p{k}" for k in range(6)]
    label_by_judge(run, PAIRS, Longest(), "ai-x", block=3)
    calm = label_by_judge(Run(tmp_path / "calm"), PAIRS, Longest(), "ai-x")
    again = read_labels(label_file(run.folder / LABELS, "ai-x"))
    assert [(x.pair, x.choice) for x in again.values()] == [(x.pair, x.choice) for x in calm.values()]


def test_sides_keep_what_was_said_in_each_order() -> None:
    sides = [base.Side("AB", "a"), base.Side("BA", "b")]
    label = as_label(PAIRS[0], base.Verdict.of(sides))
    assert (label.choice, label.sides, label.error) == ("tie", ("AB:a", "BA:b"), None)
    half = as_label(PAIRS[0], base.Verdict.of([base.Side("AB", "a"), base.Side("BA", None, "cutoff")]))
    assert (half.choice, half.sides, half.error) == (None, ("AB:a",), "BA: cutoff")


def test_people_and_machines_get_rows_of_their_own(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    label_by_judge(run, PAIRS, Longest(), "ai-longest")
    for name, choice in (("ann", "a"), ("bob", "a"), ("eve", "b")):
        with LabelBook(label_file(run.folder / LABELS, name)) as book:
            book.add(*(Label(pair.id, choice) for pair in PAIRS[:6]))
    written = write_splits(run, LabelConfig(), PAIRS)
    totals = {name: sum(parts.values()) for name, parts in written["preferences"].items()}
    assert totals == {"ai-longest": 9, "ann": 6, "bob": 6, "eve": 6, "people": 6}
    import pandas as pd

    for name, total in totals.items():
        tables = [
            pd.read_parquet(run.folder / "dpo" / name / f"{part}.parquet")
            for part, rows in written["preferences"][name].items()
            if rows
        ]
        assert sum(map(len, tables)) == total
    lines = (run.folder / "dpo" / "people" / "train.jsonl").read_text().splitlines()
    assert len(lines) == written["preferences"]["people"]["train"]
    assert sum(part["pairs"] for part in written["parts"].values()) == len(PAIRS)


def test_a_judge_is_named_and_cannot_pass_for_a_person(tmp_path: Path) -> None:
    choice = JudgeChoice("openai", "Qwen/Qwen2.5 7B", "http://127.0.0.1:1/v1", both_orders=False)
    assert machine_name(choice, None) == "ai-Qwen-Qwen2.5-7B"
    with pytest.raises(ConfigError, match="pass for a person"):
        machine_name(choice, "ann")
    command = resume_command(choice, Run(tmp_path / "runs" / "mine"), "ai-mine")
    assert "--annotator ai-mine" in command
    assert "label ai mine --judge openai --judge-model 'Qwen/Qwen2.5 7B'" in command
    assert "--one-order --resume" in command
    assert "--batch --resume" in resume_command(replace(choice, batch=True), Run(tmp_path), "ai-mine")
    for wrong in (("opnai", "x"), ("openai", ""), ("rules", "x")):
        with pytest.raises(ConfigError) as caught:
            JudgeChoice(*wrong)
        assert caught.value.hint
    with pytest.raises(ConfigError, match="ask no model"):
        JudgeChoice(batch=True)
    with pytest.raises(ConfigError, match="no limits a minute"):
        replace(choice, batch=True, requests_per_minute=60.0)


def test_the_rules_refuse_questions_of_another_world(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with (
        opened_judge(JudgeChoice(), run, "ai-rules") as judge,
        pytest.raises(JudgeError, match="nano world"),
    ):
        label_by_judge(run, PAIRS, judge, "ai-rules")
    assert read_labels(label_file(run.folder / LABELS, "ai-rules")) == {}


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-5-mini"), ("anthropic", "claude-haiku-4-5")]
)
def test_a_batch_costs_half_and_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, provider: str, model: str
) -> None:
    monkeypatch.setenv(f"{provider.upper()}_API_KEY", "sk-canary")
    monkeypatch.setattr(judging, "API_BLOCK", 2)  # blocks would be batches that wait for each other
    rows = [{"id": pair.id, "prompt": pair.prompt, "a": pair.a, "b": pair.b} for pair in PAIRS]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["ai", f"pairs={tmp_path / 'p.jsonl'}", "name=mine", "--runs", str(tmp_path), "--batch"]
    words += ["--judge", provider, "--judge-model", model]
    always = {"": '{"reason": "it stands first", "winner": "A"}'}
    with judge_server(replies=always) as server:
        words += ["--base-url", server.base_url]

        def run(*more: str) -> str:
            done = CliRunner().invoke(label, [*words, *more])
            assert done.exit_code == 0, done.exception
            return done.output

        told = run("--estimate")
        assert "20 to make" in told
        assert "within a day" in told
        assert f"--judge-model {model} --base-url" in run(), "how to go on is told beforehand"
        seen = server.stats()
        assert (seen.batches, len(seen.billed), seen.billed_twice) == (1, 20, 0)
        labels = label_file(tmp_path / "mine" / LABELS, f"ai-{model}")
        assert {row.choice for row in read_labels(labels).values()} == {"tie"}
        assert read_labels(labels)["p1"].sides == ("AB:a", "BA:b")
        with Ledger.open(tmp_path / "mine" / judging.CALLS, read_only=True) as ledger:
            full = cost_of(model, seen.input_tokens, seen.output_tokens)
            assert full
            assert ledger.cost() == pytest.approx(full / 2)
        labels.unlink()
        assert "0 to make, 20 known" in run("--estimate")
        run("--resume")
        assert server.stats().requests == seen.requests, "what is in the ledger is not asked again"
