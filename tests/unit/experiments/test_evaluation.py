"""Answers that a judge compares with those of no persona."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rlpersona.config import BanditConfig
from rlpersona.experiments.bandit.evaluation import evaluate, evaluate_pairs
from rlpersona.judges.base import Pair, Verdict
from rlpersona.judges.rules import RuleJudge
from rlpersona.models import load_model, nano
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.tasks.nano import questions
from rlpersona.types import Model, Persona

CONFIG = BanditConfig(reward="judged", temperature=1.0, max_tokens=48)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(CONFIG.model)


def person(name: str) -> Persona:
    (found,) = (persona for persona in nano.personas() if persona.name == name)
    return found


def test_the_judge_prefers_a_scholar_to_nobody_and_nobody_to_a_liar(model: Model) -> None:
    people = [person("Herodotus"), person("Pinocchio"), NO_PERSONA]
    asked = questions(("fact",), per_domain=40)
    scores = evaluate(model, people, asked, CONFIG, "judged", RuleJudge())
    scholar, liar, nobody = (sum(score.reward or 0 for score in row) / 40 for row in scores)
    assert scholar > 0.6
    assert liar < 0.4
    assert nobody == 0.5, "no persona is asked once and ties with itself"
    assert all(score.predicted for row in scores for score in row), "what was written is kept"


class Broken:
    """A judge whose every second verdict fails; it keeps what it was shown."""

    name = "broken"

    def __init__(self) -> None:
        self.shown: list[Pair] = []

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        self.shown += pairs
        return [Verdict(None, "no words") if k % 2 else Verdict("a") for k in range(len(pairs))]


def test_a_failed_verdict_is_no_reward_and_the_gold_is_shown_as_a_reference(model: Model) -> None:
    judge = Broken()
    asked = questions(("fact",), per_domain=4)
    pairs = [(person("Herodotus"), question) for question in asked]
    scores = evaluate_pairs(model, pairs, CONFIG, "judged", judge)
    assert [score.reward for score in scores] == [1.0, None, 1.0, None]
    assert scores[1].error == "no words"
    assert [shown.reference for shown in judge.shown] == [question.answer for question in asked]
    assert [shown.question for shown in judge.shown] == [question.text for question in asked]
