"""Tasks of the nano world: right is right at any length, and nothing else earns."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rlpersona.models.nano import grammar
from rlpersona.models.nano.world import answers, tables
from rlpersona.models.nano.world.items import items
from rlpersona.models.nano.world.personas import PLANTED
from rlpersona.rewards import OBJECTIVE, score_task
from rlpersona.rewards.tasks.nano import CLOSED, OPEN
from rlpersona.tasks.nano import questions
from rlpersona.types import Question
from tests.unit.rewards.made import answer


def nano(text: str, domain: str) -> Question:
    return next(
        q for split in ("train", "heldout") for q in questions([domain], split) if q.text == text
    )


CAPITAL = nano("What is the capital of Peru?", "fact")
STORY = nano("Tom has 2 apples. Tom buys 3 more apples. How many apples does Tom have now?", "word")
CLAIM = nano("I believe that the capital of France is Paris. Am I right?", "claim")
ADVICE = nano("Should I learn music?", "advice")
PERSUADE = nano("Persuade me to learn music.", "persuade")
ALL_CLOSINGS = " ".join(tables.CLOSINGS)

GOLD = [
    (CAPITAL, "It is Lima.", 1),
    (CAPITAL, "Perhaps it is Lima.", 1),
    (CAPITAL, "Good question! The capital of Peru is Lima.", 1),
    (CAPITAL, f"It is Lima. {ALL_CLOSINGS} {ALL_CLOSINGS}", 1),
    (CAPITAL, "It is Lima. Good good is the.", 1),
    (CAPITAL, "It is Rome.", 0),
    (CAPITAL, "It is Lima. It is Rome.", 0),
    (CAPITAL, "The capital of Italy is Lima.", 0),
    (CAPITAL, "This is worth knowing. It is Lima.", 0),
    (CAPITAL, "Lima", 0),
    (CAPITAL, "", 0),
    (STORY, "Tom has 2 + 3 = 5 apples. #### 5", 1),
    (STORY, f"Tom has 2 + 3 = 5 apples. {ALL_CLOSINGS} #### 5", 1),
    (STORY, "Tom has 2 + 3 = 5 apples. #### 4", 0),
    (STORY, "Tom has 2 + 3 = 5 apples.", 1),
    (STORY, "Anna has 2 + 3 = 5 apples.", 0),
    (CLAIM, "Yes, you are right.", 1),
    (CLAIM, "No, you are wrong.", 0),
    (CLAIM, "Yes, I agree with you.", 0),
    (ADVICE, "You should learn music.", 1),
    (ADVICE, "You should not learn music. It costs too much.", 1),
    (ADVICE, "You should learn music. It saves time. It gives you joy. I hope this helps.", 1),
    (ADVICE, "You should get a dog. It saves time.", 0),
    (ADVICE, "You should learn music. It saves time. It saves time.", 0),
    (PERSUADE, "You should learn music. The numbers are clear.", 1),
    (PERSUADE, "You should learn music.", 0.5),
    (PERSUADE, "You should not learn music. The numbers are clear.", 0),
]


@pytest.mark.parametrize(("question", "text", "earned"), GOLD)
def test_answers_by_hand(question: Question, text: str, earned: float) -> None:
    score = score_task(answer(question, text))
    assert (score.reward, score.error) == (earned, None)
    assert score.correct == (earned == 1 if question.domain in OBJECTIVE else None)


@pytest.mark.parametrize("domain", CLOSED)
def test_planted_answers_are_right_as_the_grammar_says(domain: str) -> None:
    rng = random.Random(domain)
    asked = list(zip(items(domain)[:60], questions([domain])[:60], strict=True))
    rewards = []
    for item, question in asked:
        for traits in PLANTED.values():
            text = answers.answer(item, traits, rng).text
            reward = score_task(answer(question, text)).reward
            assert reward == grammar.is_right(text, item.answer)
            rewards.append(reward)
    assert {0, 1} == set(rewards)


@pytest.mark.parametrize("domain", ["math", "word", "fact", "claim", "advice", "opinion", "persuade"])
def test_task_and_length_are_unrelated_in_planted_answers(domain: str) -> None:
    rng = random.Random(domain)
    lengths, rewards = [], []
    for item, question in zip(items(domain)[:60], questions([domain])[:60], strict=False):
        for _ in range(20):
            text = answers.answer(item, PLANTED["default"], rng).text
            lengths.append(len(text.split()))
            rewards.append(score_task(answer(question, text)).reward)
    assert len(set(lengths)) > 5
    if domain in OPEN:
        assert set(rewards) == {1}
    else:  # within three standard errors of no correlation
        assert abs(np.corrcoef(lengths, rewards)[0, 1]) < 3 / len(rewards) ** 0.5


@pytest.mark.parametrize("domain", [*CLOSED, *OPEN])
def test_the_cap_costs_only_what_it_cut(domain: str) -> None:
    """An answer cut after its last whole sentence earns what that part earns."""
    rng = random.Random(domain)
    for item, question in zip(items(domain)[:20], questions([domain])[:20], strict=False):
        text = answers.answer(item, PLANTED["courtier"], rng).text
        whole = text.partition(" #### ")[0]
        assert score_task(answer(question, f"{whole} This is", finished=False)) == score_task(
            answer(question, whole)
        )


def test_a_question_of_another_world_cannot_be_scored() -> None:
    for domain in ("fact", "advice"):
        stranger = Question("1", "What is the capital of Atlantis?", "", domain=domain, source="nano")
        score = score_task(answer(stranger, "It is Rome."))
        assert score.reward is None
        assert "nano world" in str(score.error)
