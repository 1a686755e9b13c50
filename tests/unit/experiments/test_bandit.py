"""The search on the real embedded model: planted winners, paired rounds, exact resume."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.bandits import make_bandit
from rlpersona.config import BanditConfig, ValidationConfig
from rlpersona.errors import ConfigError, PersonaError, RunChangedError
from rlpersona.experiments.bandit.evaluation import evaluate
from rlpersona.experiments.bandit.inputs import load_inputs, make_policy
from rlpersona.experiments.bandit.rounds import (
    Draw,
    Selection,
    draw,
    learn,
    questions_of_block,
    restored,
)
from rlpersona.experiments.bandit.search import search
from rlpersona.experiments.bandit.validation import validate
from rlpersona.experiments.origin import record_origin
from rlpersona.models import load_model
from rlpersona.presets import preset
from rlpersona.store import Run
from rlpersona.types import ChoiceScores, Model, Question, Score
from tests.support import Memory


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(BanditConfig().model)


def searched(
    config: BanditConfig, folder: Path, model: Model, memory: Memory | None = None
) -> dict[str, Any]:
    inputs = load_inputs(config)
    run = Run(folder)
    policy, seconds = search(config, inputs, run, memory or Memory(), model)
    return validate(config, inputs, run, policy, model, seconds)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_quickstart_finds_a_planted_best_persona(seed: int, tmp_path: Path, model: Model) -> None:
    config = preset("quickstart").model_copy(update={"seed": seed})
    summary = searched(config, tmp_path, model)
    top = summary["winners"][0]
    assert top["group"] == "scientist"
    assert top["gain"]["low"] > 0
    assert summary["significant"]


@pytest.mark.parametrize(
    ("algorithm", "params"), [("reinforce", {"lr": 0.15}), ("thompson", {}), ("halving", {})]
)
def test_every_algorithm_finds_a_planted_best_persona(
    algorithm: str, params: dict[str, Any], tmp_path: Path, model: Model
) -> None:
    change = {"algorithm": algorithm, "params": params, "seed": 6}
    summary = searched(preset("quickstart").model_copy(update=change), tmp_path, model)
    assert summary["winners"][0]["group"] == "scientist"
    assert summary["evaluations"] <= preset("quickstart").budget
    assert summary["significant"]


SMALL = {"rounds": 9, "checkpoint_every": 2, "arms_per_round": 6, "questions_per_round": 4}


@pytest.mark.parametrize("algorithm", ["reinforce", "thompson", "halving"])
def test_interrupted_after_any_checkpoint_ends_the_same(
    algorithm: str, tmp_path: Path, model: Model
) -> None:
    config = BanditConfig(algorithm=algorithm, domains=("math",), **SMALL)  # type: ignore[arg-type]
    inputs = load_inputs(config)
    whole = Run(tmp_path / "whole")
    undisturbed, _ = search(config, inputs, whole, Memory(), model)
    events = whole.events()
    for stop in (1, 3):
        run, memory = Run(tmp_path / f"stop{stop}"), Memory(stop)
        with pytest.raises(InterruptedError):
            search(config, inputs, run, memory, model)
        run.append_metrics({"round": 99, "lost": "written after the checkpoint, before the crash"})
        memory.stop_after = None
        policy, _ = search(config, inputs, run, memory, model)
        assert policy.state_dict() == undisturbed.state_dict()
        pd.testing.assert_frame_equal(run.events(), events, check_exact=True)
        assert [row["round"] for row in run.metrics()] == [row["round"] for row in whole.metrics()]


def test_rounds_are_paired_and_fresh_questions_are_fresh(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(domains=("math",), **SMALL)  # type: ignore[arg-type]
    inputs = load_inputs(config)
    search(config, inputs, Run(tmp_path), Memory(), model)
    for _, part in Run(tmp_path).events().groupby("round"):
        asked = part.groupby("persona")["question"].apply(frozenset)
        assert asked.nunique() == 1
        assert len(asked.iloc[0]) == 4
    assert not {q.id for q in inputs.search} & {q.id for q in inputs.fresh}
    assert not {q.text for q in inputs.search} & {q.text for q in inputs.fresh}


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 5))
def test_blocks_of_an_epoch_share_no_question(n: int, size: int, seed: int) -> None:
    questions = [Question(str(k), f"q{k}", "a") for k in range(n)]
    config = BanditConfig(seed=seed, questions_per_round=size)
    size = min(size, n)
    epoch = [
        question.id for b in range(n // size) for question in questions_of_block(questions, b, config)
    ]
    assert max(Counter(epoch).values()) == 1
    assert len(epoch) == n // size * size
    again = [
        question.id for b in range(n // size) for question in questions_of_block(questions, b, config)
    ]
    assert again == epoch


def test_failures_are_left_out_and_repeated_arms_repeat_their_rewards() -> None:
    questions = [Question("a", "a?", "1"), Question("b", "b?", "1")]
    drawn = Draw([Selection(0, [(arm, j) for arm in (3, 5, 3) for j in (0, 1)], None)], questions)
    answered = {
        (3, 0): Score(1.0),
        (3, 1): Score(None, error="torn"),
        (5, 0): Score(0.0),
        (5, 1): Score(0.5),
    }
    policy = make_bandit("thompson", 6)
    assert drawn.distinct == list(answered)
    assert learn(policy, drawn, answered) == [1.0, 0.0, 0.5, 1.0]
    assert policy.counts.tolist() == [0, 0, 0, 2, 0, 2]
    assert policy.sums.tolist() == [0, 0, 0, 2.0, 0, 0.5]


def test_a_planner_fills_a_round_with_several_passes_on_different_questions() -> None:
    questions = [Question(str(k), f"q{k}", "a") for k in range(12)]
    config = BanditConfig(arms_per_round=9, questions_per_round=2)
    policy = make_bandit("halving", 4, budget=64, questions=2)
    drawn = draw(policy, questions, config)
    assert drawn is not None
    assert [len(selection.pairs) for selection in drawn.selections] == [8, 8, 2]  # 4 + 4 + 1 arms
    assert len(drawn.distinct) == drawn.size == 18
    assert len({question.id for question in drawn.questions}) == 6
    assert restored(json.loads(json.dumps(drawn.state())), questions, config) == drawn
    learn(policy, drawn, dict.fromkeys(drawn.distinct, Score(1.0)))
    assert policy.counts.sum() == 18


def test_a_policy_that_learns_by_the_round_selects_once_a_round() -> None:
    questions = [Question(str(k), f"q{k}", "a") for k in range(12)]
    drawn = draw(make_bandit("thompson", 4), questions, BanditConfig(arms_per_round=9))
    assert drawn is not None
    assert len(drawn.selections) == 1
    assert drawn.size == 4 * 8


def test_choices_and_open_questions_can_be_mixed(model: Model) -> None:
    config = BanditConfig(domains=("math",))
    inputs = load_inputs(config)
    closed = inputs.search[0]
    unanswerable = Question("open", "Who are you?", "7", source="gsm8k")
    (row,) = evaluate(model, inputs.personas[:1], [unanswerable, closed], config, "accuracy")
    assert row[0].reward is None
    assert row[0].error == "no number in the answer"
    assert row[1].reward in (0, 1)


def test_a_roster_smaller_than_the_winners_is_validated_whole(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(domains=("math",), persona_limit=3, **SMALL)  # type: ignore[arg-type]
    summary = searched(config, tmp_path, model)
    assert len(summary["winners"]) == 3
    assert 0 <= summary["random"]["low"] <= summary["random"]["high"] <= 1


def test_a_resumed_run_refuses_other_data(tmp_path: Path) -> None:
    inputs = load_inputs(BanditConfig(domains=("math",)))
    record_origin(Run(tmp_path), inputs)
    record_origin(Run(tmp_path), inputs)
    swapped = replace(inputs, personas=[inputs.personas[1], inputs.personas[0], *inputs.personas[2:]])
    with pytest.raises(RunChangedError, match="its personas changed"):
        record_origin(Run(tmp_path), swapped)
    with pytest.raises(RunChangedError, match="its search changed"):
        record_origin(Run(tmp_path), replace(inputs, search=inputs.search[1:]))


def test_fresh_questions_are_a_sample_and_not_the_head() -> None:
    inputs = load_inputs(BanditConfig())
    assert len(inputs.fresh) == BanditConfig().validation.questions
    facts = [sum(q.domain == "fact" for q in part) / len(part) for part in (inputs.search, inputs.fresh)]
    assert facts[0] == pytest.approx(facts[1], abs=0.08)


def test_too_few_questions_to_split_is_the_users_to_mend() -> None:
    with pytest.raises(PersonaError):
        load_inputs(BanditConfig(question_limit=4, domains=("nowhere",)))


@pytest.mark.parametrize("algorithm", ["reinforce", "thompson", "halving", "exp3", "per-question"])
def test_rounds_in_flight_are_learned_in_order_and_survive_a_crash(
    algorithm: str, tmp_path: Path, model: Model
) -> None:
    config = BanditConfig(algorithm=algorithm, domains=("math",), in_flight=3, **SMALL)  # type: ignore[arg-type]
    inputs = load_inputs(config)
    whole = Run(tmp_path / "whole")
    undisturbed, _ = search(config, inputs, whole, Memory(), model)
    assert whole.metrics()[-1]["evaluations"] <= config.budget

    run, memory = Run(tmp_path / "stopped"), Memory(2)
    with pytest.raises(InterruptedError):
        search(config, inputs, run, memory, Slow(model))
    flights = len(json.loads(memory.saved[-1])["flights"])
    assert 1 <= flights <= 3 if algorithm == "halving" else flights == 3  # a stage waits for its end
    memory.stop_after = None
    policy, _ = search(config, inputs, run, memory, Slow(model))
    assert policy.state_dict() == undisturbed.state_dict()
    pd.testing.assert_frame_equal(run.events(), whole.events(), check_exact=True)


class Slow:
    """The same answers, the first of several calls last: what comes in order must not be luck."""

    def __init__(self, model: Model) -> None:
        self.model, self.calls = model, 0

    def score_choices(self, *arguments: Any) -> list[ChoiceScores]:
        self.calls += 1
        time.sleep(0.05 if self.calls % 3 == 1 else 0)
        return self.model.score_choices(*arguments)


def test_late_updates_carry_the_chances_of_their_draw(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(domains=("math",), in_flight=2, params={"lr": 0.5}, **SMALL)  # type: ignore[arg-type]
    inputs = load_inputs(config)
    memory = Memory(1)
    with pytest.raises(InterruptedError):
        search(config, inputs, Run(tmp_path), memory, model)
    state = json.loads(memory.saved[-1])
    policy = make_policy(config, inputs.personas)
    policy.load_state_dict(state["policy"])
    ((first, *_), *_) = state["flights"]
    arms = [arm for arm, _ in first["pairs"]]
    present = policy.chances(arms)
    assert present is not None
    assert not np.allclose(present, first["chances"])


def test_what_was_learned_is_measured_on_other_benchmarks_during_the_search(
    tmp_path: Path, model: Model
) -> None:
    config = BanditConfig(
        domains=("math",),
        transfer=("nano/fact", "nano/word"),  # type: ignore[arg-type]
        transfer_every=4,
        transfer_questions=30,
        **SMALL,  # type: ignore[arg-type]
    )
    inputs = load_inputs(config)
    assert {label: len(questions) for label, questions in inputs.transfer.items()} == {
        "nano/fact": 30,
        "nano/word": 30,
    }
    summary = searched(config, tmp_path, model)
    rounds = {row["round"]: row["transfer"] for row in Run(tmp_path).metrics() if "transfer" in row}
    assert set(rounds) == {4, 8}
    assert rounds[4]["nano/fact"]["questions"] == 30
    assert 0 <= rounds[8]["nano/word"]["control"] <= 1
    assert [part["benchmark"] for part in summary["transfer"]] == ["nano/fact", "nano/word"]


@pytest.mark.parametrize("transfer", [("nano/math",), ("nano/fact", "nano/fact")])
def test_nothing_is_measured_twice_under_one_name(transfer: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="measured anyway"):
        load_inputs(BanditConfig(domains=("math",), transfer=transfer))  # type: ignore[arg-type]


def test_several_benchmarks_are_searched_together(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(domains=("math",), also=("nano/fact",), **SMALL)  # type: ignore[arg-type]
    inputs = load_inputs(config)
    assert {question.domain for question in inputs.search} == {"math", "fact"}
    assert searched(config, tmp_path, model)["winners"]


@pytest.mark.parametrize("also", ["nano/math", "nano"])
def test_no_question_is_searched_on_twice(also: str) -> None:
    with pytest.raises(ConfigError, match="repeats questions"):
        load_inputs(BanditConfig(domains=("math",), also=(also,)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"transfer_every": 3}, "transfer_every"),
        ({"persona_sample": "strata"}, "persona_sample"),
        ({"features": ("embedding",)}, "features"),
        ({"normalise": "tokens", "mode": "generate"}, "normalise"),
    ],
)
def test_a_setting_that_changes_nothing_is_refused(change: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        load_inputs(BanditConfig(domains=("math",), **change))


def test_a_search_in_which_nothing_can_be_scored_ends_early(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(domains=("math",), mode="generate", max_tokens=8)
    with pytest.raises(PersonaError, match="None of the first") as raised:
        search(config, load_inputs(config), Run(tmp_path), Memory(), model)
    assert "mode=" in raised.value.hint


@pytest.mark.parametrize("algorithm", ["reinforce", "thompson", "per-question"])
def test_rounds_in_flight_ask_different_questions(algorithm: str, tmp_path: Path, model: Model) -> None:
    config = BanditConfig(algorithm=algorithm, domains=("math",), in_flight=4, **SMALL)  # type: ignore[arg-type]
    search(config, load_inputs(config), Run(tmp_path), Memory(), model)
    asked = Run(tmp_path).events().groupby("round")["question"].agg(frozenset)
    assert len(frozenset.union(*asked)) == 9 * 4


def test_the_baseline_alone_needs_no_search(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(domains=("math",), search=False, **SMALL)  # type: ignore[arg-type]
    summary = searched(config, tmp_path, model)
    assert summary["winners"] == []
    assert summary["evaluations"] == 0
    assert 0.4 < summary["control"]["estimate"] < 0.75


def test_without_baseline_there_are_accuracies_and_no_gains(tmp_path: Path, model: Model) -> None:
    config = BanditConfig(
        domains=("math",),
        validation=ValidationConfig(baseline=False),
        **SMALL,  # type: ignore[arg-type]
    )
    summary = searched(config, tmp_path, model)
    assert summary["control"] is None
    assert all(winner["gain"] is None and winner["accuracy"] for winner in summary["winners"])
    assert "baseline" in summary["verdict"]


def test_the_summary_is_written_last(tmp_path: Path, model: Model) -> None:
    searched(BanditConfig(domains=("math",), **SMALL), tmp_path, model)  # type: ignore[arg-type]
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir() if path.is_file()}
    assert max(made, key=lambda name: made[name]) == "summary.json"
