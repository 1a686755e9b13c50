"""Rows of a stage: knock-outs, ties, failures, flips, blocks that outlive an interruption."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.config import DataConfig, DPOStage, SFTStage
from rlpersona.errors import DataError
from rlpersona.experiments.stages.data import (
    BLOCK,
    Made,
    best_answers,
    data_file,
    judged_pairs,
    keep_rows,
    prompts_of,
    sample_answers,
)
from rlpersona.experiments.stages.graph import Node
from rlpersona.judges.base import Pair, Verdict
from rlpersona.preferences.pairs import Answer
from rlpersona.store import Run
from rlpersona.types import Completion, Prompt, Question, Sampling


class Longer:
    """The longer answer wins; on a question in `broken` the judge fails."""

    name = "longer"

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.broken, self.asked = set(broken), 0

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        self.asked += len(pairs)
        return [self.verdict(pair) for pair in pairs]

    def verdict(self, pair: Pair) -> Verdict:
        if pair.question in self.broken:
            return Verdict(None, "no answer")
        a, b = len(pair.a), len(pair.b)
        return Verdict("tie" if a == b else "a" if a > b else "b")


def question(text: str) -> Question:
    return Question(text, text, "")


def node(settings: SFTStage | DPOStage, name: str = "sft") -> Node:
    return Node(name, (name,), "base", "", "base", name, settings)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20))
def test_a_knock_out_finds_the_best_of_any_group_in_n_minus_one_comparisons(sizes: list[int]) -> None:
    judge, config = Longer(), DataConfig(answers=max(2, len(sizes)))
    drawn = [Answer("x" * size) for size in sizes]
    made = best_answers(config, [question("q")], [drawn], judge, 0)
    distinct = set(sizes) - {0}
    assert judge.asked == max(0, len(distinct) - 1)
    assert [row["completion"][0]["content"] for row in made.rows] == ["x" * max(sizes)] * bool(distinct)


def test_each_group_gives_its_best_and_a_failed_comparison_gives_none() -> None:
    config = DataConfig(answers=6, groups=3)
    first = [Answer(text) for text in ("a", "bb", "ccc", "d", "ccc", "e")]
    second = [Answer(text) for text in ("x", "yy", "", "", "z", "z")]
    asked = [question("one"), question("two")]
    made = best_answers(config, asked, [first, second], Longer(broken=["two"]), 0)
    told = [(row["prompt"][0]["content"], row["completion"][0]["content"]) for row in made.rows]
    # Of one: bb over a, ccc over d, ccc over e. Of two: x against yy failed, nothing, z alone.
    assert told == [("one", "bb"), ("one", "ccc"), ("two", "z")]
    assert made.counts == {"comparisons": 4, "kept": 3, "repeated": 1, "failed": 1}
    assert made.errors == {"no answer": 1}


def test_ties_and_failures_give_no_pair_and_are_counted() -> None:
    asked = [question("one"), question("two")]
    answers = [[Answer(text) for text in ("a", "b", "ccc")], [Answer("x"), Answer("yy")]]
    made = judged_pairs(DataConfig(answers=3), asked, answers, Longer(broken=["two"]), 0)
    chosen = {(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in made.rows}
    assert chosen == {("ccc", "a"), ("ccc", "b")}
    assert made.counts == {"pairs": 4, "kept": 2, "ties": 1, "failed": 1, "flipped": 0}


def test_flips_turn_the_planned_share_of_labels_round_and_nothing_else() -> None:
    asked = [question(f"q{number}") for number in range(600)]
    answers = [[Answer("short"), Answer("much longer")] for _ in asked]
    config = DataConfig(answers=2, flips=0.1)
    made = judged_pairs(config, asked, answers, Longer(), 0)
    wrong = [row["chosen"][0]["content"] == "short" for row in made.rows]
    assert len(wrong) == 600
    assert made.counts["flipped"] == sum(wrong)
    assert 35 <= sum(wrong) <= 85, "60 expected, sd 7.3"
    plain = judged_pairs(DataConfig(answers=2), asked, answers, Longer(), 0)
    assert [row["id"] for row in plain.rows] == [row["id"] for row in made.rows]
    fewer = judged_pairs(config, asked[:300], answers[:300], Longer(), 0)
    assert fewer.rows == made.rows[:300], "the draw of a label does not depend on the other labels"


def test_a_larger_sample_of_prompts_adds_to_a_smaller_one() -> None:
    train = [question(f"q{number}") for number in range(40)]
    few, more = ({q.text for q in prompts_of(DataConfig(prompts=n), train, seed=3)} for n in (7, 20))
    assert (len(few), len(more)) == (7, 20)
    assert few < more
    assert prompts_of(DataConfig(), train, seed=3) == train


def test_sampling_goes_on_at_the_block_it_was_interrupted_in(tmp_path: Path) -> None:
    asked = [question(f"q{number}") for number in range(BLOCK + 6)]
    settings = SFTStage(data=DataConfig(answers=2, writers=("", "a poet")))
    calls: list[int] = []

    def ask(prompts: Sequence[Prompt], sampling: Sampling, fail: bool = False) -> list[Completion]:
        if fail and calls:
            raise InterruptedError
        calls.append(len(prompts))
        return [answered(prompt, place) for place, prompt in enumerate(prompts, start=sampling.offset)]

    def answered(prompt: Prompt, place: int) -> Completion:
        text = f" {prompt.messages[-1].content} {place} {len(prompt.messages)}"
        return Completion(text, (1,), (0.0,), "length" if place == 5 else "stop")

    def sample(folder: str, fail: bool = False) -> list[list[Answer]]:
        return sample_answers(
            Run(tmp_path / folder), node(settings), asked, "You are {name}.", 0,
            lambda prompts, sampling: ask(prompts, sampling, fail), lambda *_: None,
        )  # fmt: skip

    with pytest.raises(InterruptedError):
        sample("torn", fail=True)
    answers = sample("torn")
    assert calls == [2 * BLOCK, 12], "the first block was not drawn again"
    assert answers[0] == [Answer("q0 0 1", ""), Answer("q0 1 2", "a poet")]
    assert answers[2][1] == Answer("", "a poet"), "cut by the token cap"
    assert answers[BLOCK][0].text == f"q{BLOCK} {2 * BLOCK} 1", "places go on over blocks"
    calls.clear()
    assert sample("whole") == answers


def test_two_stages_of_equal_settings_see_different_draws(tmp_path: Path) -> None:
    seeds = []
    for stage in ("rlaif", "rlhf"):
        sample_answers(
            Run(tmp_path), node(DPOStage(), stage), [question("q")], "You are {name}.", 0,
            lambda prompts, sampling: seeds.append(sampling.seed)
            or [Completion("x", (), (), "stop")] * len(prompts),
            lambda *_: None,
        )  # fmt: skip
    assert len(set(seeds)) == 2


def test_rows_are_kept_with_their_record_and_none_are_refused(tmp_path: Path) -> None:
    run, row = Run(tmp_path), {"prompt": [], "completion": [], "id": "1"}
    keep_rows(run, node(SFTStage()), Made([row], {"kept": 1}, {}))
    assert [json.loads(line) for line in data_file(run, node(SFTStage())).open()] == [row]
    record = json.loads((tmp_path / "data" / "sft.json").read_text())
    assert record["counts"] == {"kept": 1}
    assert record["writer"] == "base"
    with pytest.raises(DataError, match=r"Stage sft has no rows to train on \(3 ties, 2 no answer\)"):
        keep_rows(run, node(SFTStage()), Made([], {"kept": 0, "ties": 3}, {"no answer": 2}))
