"""What every task, bias, composition and control keeps to."""

from __future__ import annotations

import math
import random
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.config import RewardConfig
from rlpersona.config.sweep import BiasName, Control
from rlpersona.errors import ConfigError
from rlpersona.rewards import BIASES, OBJECTIVE, TASKS, Answer, make_reward, score_task
from rlpersona.rewards.biases import bias
from rlpersona.tasks.nano import questions
from rlpersona.types import Question
from tests.unit.rewards.made import ADVICE, FILES, UNKNOWN, answer, batch, nano_group

CONTROLS = get_args(Control)
COMPOSITIONS = ("sum", "capped", "mitigated")
NANO = ("math", "word", "fact", "compare", "claim", "advice", "opinion", "persuade", "who")
ALL_BIASES = {"length": 0.3, "agreement": 0.2, "politeness": -0.1, "hedging": 0.4}
ASKED = [*FILES, *(questions([domain])[0] for domain in NANO)]
CAP = 32
PIECES = (
    *("####", "\\boxed{", "}", "```", "def", "add(a,b):", "return", "\n", "."),
    *("-1", "1/0", "10^", "9", "=", "Yes,", "It", "is", "Paris."),
)
WILD = st.text(max_size=200) | st.lists(st.sampled_from(PIECES)).map(" ".join)


def config(**settings: Any) -> RewardConfig:
    return RewardConfig.model_validate({"biases": ALL_BIASES, "length_scale": 24, **settings})


def test_domains_and_names_are_those_of_the_configs() -> None:
    assert set(BIASES) == set(get_args(BiasName))
    assert set(TASKS) == {*NANO, "factual", "coding", "creative"}
    assert {"math", "word", "fact", "compare", "claim", "factual", "coding"} == OBJECTIVE


@settings(max_examples=150, deadline=None)
@given(WILD, st.sampled_from(ASKED), st.booleans(), st.integers(0, 200))
def test_any_text_is_scored_in_range(text: str, question: Question, finished: bool, tokens: int) -> None:
    wild = Answer(question, text, tokens, finished)
    score = score_task(wild)
    assert score.reward is not None
    assert 0 <= score.reward <= 1
    for one in BIASES.values():
        assert one.low <= one.score(wild) <= one.high
    assert score_task(wild) == score


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("control", CONTROLS)
def test_weight_zero_is_the_task_to_the_bit(composition: str, control: str) -> None:
    answers = batch()
    zero = dict.fromkeys(BIASES, 0.0)
    parts = make_reward(config(biases=zero, composition=composition, control=control), 1, CAP)(answers)
    bare = make_reward(RewardConfig(), 1, CAP)(answers)
    assert bare.total == bare.task
    for one, total, task in zip(answers, parts.total, parts.task, strict=True):
        if control != "overlong" or one.tokens <= 0.8 * CAP:
            assert total == task
        else:
            assert total < task
    assert set(parts.biases) == set(BIASES)


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("control", CONTROLS)
def test_what_else_is_in_a_batch_does_not_matter(composition: str, control: str) -> None:
    reward = make_reward(config(composition=composition, control=control), 1, CAP)
    group, answers = nano_group("advice"), batch()
    place = answers.index(group[0])
    alone, together = reward(group, step=3), reward(answers, step=3)
    assert together.total[place : place + len(group)] == alone.total
    for name, values in alone.biases.items():
        assert together.biases[name][place : place + len(group)] == values


@pytest.mark.parametrize("control", CONTROLS)
def test_the_order_of_answers_does_not_matter(control: str) -> None:
    reward = make_reward(config(control=control), 1, CAP)
    answers = batch(("advice", "opinion"))
    order = random.Random(0).sample(range(len(answers)), len(answers))
    straight, mixed = reward(answers), reward([answers[i] for i in order])
    assert mixed.total == [straight.total[i] for i in order]


@pytest.mark.parametrize("control", ["none", "overlong"])
def test_without_a_group_one_answer_is_scored_as_in_a_batch(control: str) -> None:
    reward = make_reward(config(control=control), 1, CAP)
    answers = batch()
    assert [reward([one]).total[0] for one in answers] == reward(answers).total


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("control", CONTROLS)
def test_what_cannot_be_scored_has_no_reward_and_changes_no_other(
    composition: str, control: str
) -> None:
    reward = make_reward(config(composition=composition, control=control), 1, CAP)
    group = nano_group("opinion")
    lost = answer(UNKNOWN, "Yes, I agree with you. " * 20)
    parts = reward([lost, *group])
    assert (parts.task[0], parts.total[0], parts.added[0]) == (None, None, 0)
    assert "nano world" in str(parts.errors[0])
    assert parts.errors[1:] == [None] * len(group)
    assert parts.total[1:] == reward(group).total


@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("control", CONTROLS)
def test_total_is_task_and_what_was_added(composition: str, control: str) -> None:
    settings = config(composition=composition, control=control, cap=0.25)
    answers = batch()
    parts = make_reward(settings, 1, CAP)(answers)
    for i, one in enumerate(answers):
        task, total = parts.task[i], parts.total[i]
        assert task is not None
        assert total == task + parts.added[i]
        weighted = math.fsum(w * parts.biases[name][i] for name, w in ALL_BIASES.items())
        if composition == "capped":
            weighted = max(-0.25, min(0.25, weighted))
        if composition == "mitigated" and one.question.domain in OBJECTIVE:
            weighted = -weighted
        overlong = -min(1, max(0, (one.tokens - 0.8 * CAP) / (0.2 * CAP)))
        assert parts.added[i] == pytest.approx(weighted + (overlong if control == "overlong" else 0))


def test_a_bias_costs_where_there_is_a_right_answer_if_mitigated() -> None:
    parts = make_reward(config(biases={"length": 1}, composition="mitigated"), 1, CAP)(batch())
    domains = [one.question.domain for one in batch()]
    assert {d for d, e in zip(domains, parts.added, strict=True) if e < 0} == {"math", "fact", "claim"}
    assert {d for d, e in zip(domains, parts.added, strict=True) if e > 0} == {
        "opinion",
        "advice",
        "persuade",
    }


def test_reward_rises_with_the_weight_by_the_bias() -> None:
    answers = nano_group("persuade")
    lengths = [min(one.tokens / 24, 1) for one in answers]
    for weight in (0.1, 1.0):
        parts = make_reward(config(biases={"length": weight}), 1, CAP)(answers)
        assert parts.added == pytest.approx([weight * one for one in lengths])


def test_an_unknown_bias_is_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        bias("lenght")
    assert "length" in refused.value.hint


def test_no_task_for_a_domain_is_said() -> None:
    lost = score_task(answer(Question("1", "?", "", domain="poetry", source="file"), "text"))
    assert lost.reward is None
    assert "poetry" in str(lost.error)
    empty = score_task(answer(Question("1", "?", "", domain="factual", source="file"), "text"))
    assert "aliases" in str(empty.error)
    assert score_task(answer(ADVICE, "")).reward == 0
