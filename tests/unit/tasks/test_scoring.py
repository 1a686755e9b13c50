"""Scores by hand: probabilities, ties, failures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import ConfigError
from rlpersona.personas import NO_PERSONA
from rlpersona.tasks import prompt_for, score_choice, score_text
from rlpersona.types import ChoiceScores, Completion, Message, Persona, Question, Score

QUESTION = Question("id", "Which?", "bb", ("aaaa", "bb", "c"), cue="It is")
SUM = Question("id", "6 * 3?", "18", source="gsm8k")


def scores(*values: float, tokens: tuple[int, ...] = (4, 2, 1)) -> ChoiceScores:
    return ChoiceScores(values, tokens)


def said(text: str, finish: str = "stop") -> Completion:
    return Completion(text, (), (), "length" if finish == "length" else "stop")


def test_prompts_carry_persona_question_and_cue() -> None:
    prompt = prompt_for(QUESTION, Persona("Ada", "You are Ada."))
    assert prompt.messages == (Message("system", "You are Ada."), Message("user", "Which?"))
    assert prompt.cue == "It is"
    assert prompt_for(QUESTION, NO_PERSONA).messages == (Message("user", "Which?"),)


def test_probability_is_the_softmax_of_the_answer() -> None:
    score = score_choice(QUESTION, scores(math.log(0.2), math.log(0.5), math.log(0.1)))
    assert score.reward == pytest.approx(0.5 / 0.8)
    assert (score.correct, score.predicted, score.error) == (True, "bb", None)


@pytest.mark.parametrize(
    ("normalise", "predicted"), [("none", "c"), ("tokens", "aaaa"), ("characters", "aaaa")]
)
def test_normalisation_by_hand(normalise: str, predicted: str) -> None:
    # per token -1, -2, -3; per character -1, -2, -3
    score = score_choice(QUESTION, scores(-4.0, -4.0, -3.0), "accuracy", normalise)  # type: ignore[arg-type]
    assert score == Score(0.0, correct=False, predicted=predicted)
    probability = score_choice(QUESTION, scores(-4.0, -4.0, -3.0), "probability", "tokens").reward
    assert probability == pytest.approx(math.exp(-2) / (math.exp(-1) + math.exp(-2) + math.exp(-3)))


def test_ties_are_shared_and_predict_nothing() -> None:
    assert score_choice(QUESTION, scores(-1, -1, -2), "accuracy") == Score(0.5)
    assert score_choice(QUESTION, scores(-1, -1, -1), "accuracy").reward == pytest.approx(1 / 3)
    assert score_choice(QUESTION, scores(-1, -2, -1), "accuracy") == Score(0.0, correct=False)
    tied = score_choice(QUESTION, scores(-1, -1, -1), "probability")
    assert (tied.reward, tied.correct) == (pytest.approx(1 / 3), None)


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_likelihood_that_is_not_finite_is_a_failure_not_a_zero(broken: float) -> None:
    for reward in ("accuracy", "probability"):
        score = score_choice(QUESTION, scores(-1, -2, broken), reward)  # type: ignore[arg-type]
        assert score == Score(None, error="log-likelihood is not finite")


def test_a_choice_without_tokens_is_a_failure_only_where_it_divides() -> None:
    empty = scores(-1, -2, 0, tokens=(4, 2, 0))
    assert score_choice(QUESTION, empty, "accuracy", "tokens").error == "a choice has no tokens"
    assert score_choice(QUESTION, empty, "accuracy").error is None


def test_scores_that_do_not_match_the_choices_are_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="2 scores for 3 choices"):
        score_choice(QUESTION, scores(-1, -2))
    with pytest.raises(ValueError, match="0 choices"):
        score_choice(SUM, scores())


@given(st.lists(st.floats(-2000, 0), min_size=3, max_size=3))
def test_rewards_stay_in_range_and_agree_in_order(values: list[float]) -> None:
    probability = score_choice(QUESTION, scores(*values), "probability")
    accuracy = score_choice(QUESTION, scores(*values), "accuracy")
    assert probability.reward is not None
    assert accuracy.reward is not None
    assert 0 <= probability.reward <= 1
    assert accuracy.predicted == probability.predicted
    assert (accuracy.reward > 0) == (values[1] == max(values))
    if values[1] == max(values):
        assert probability.reward >= 1 / 3 - 1e-12


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (said("6 * 3 = 18. #### 18"), Score(1.0, correct=True, predicted="18")),
        (said("The answer is $18.00."), Score(1.0, correct=True, predicted="18")),
        (said("#### -18"), Score(0.0, correct=False, predicted="-18")),
        (said("I do not know."), Score(None, error="no number in the answer")),
        (said(""), Score(None, error="no number in the answer")),
        (said("Add 6 and 6 and 18", "length"), Score(None, error="cut off before the answer")),
        (said("#### 18", "length"), Score(None, error="cut off before the answer")),
        (said("#### 18\n\nQuestion: wh", "length"), Score(1.0, correct=True, predicted="18")),
        (said("The answer is 18 because 6 times 3", "length"), Score(1.0, correct=True, predicted="18")),
        (said("", "length"), Score(None, error="cut off before the answer")),
    ],
)
def test_texts(completion: Completion, expected: Score) -> None:
    assert score_text(SUM, completion) == expected
    if expected.reward is None:
        assert score_text(SUM, completion, unparsed="wrong") == Score(0.0, correct=False)


@given(st.text(max_size=100), st.sampled_from(["stop", "length"]))
def test_a_text_has_a_reward_or_an_error(text: str, finish: str) -> None:
    score = score_text(SUM, said(text, finish))
    assert (score.reward is None) == (score.error is not None)
    assert score.reward in (None, 0.0, 1.0)


def test_only_numbers_can_be_compared() -> None:
    with pytest.raises(ConfigError, match="no number"):
        score_text(Question("id", "Capital?", "Paris"), said("Paris"))
