"""Prompts of each mode, written out; letters; what cannot be asked or scored."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import ConfigError
from rlpersona.personas import NO_PERSONA
from rlpersona.tasks import (
    check_scoring,
    load_questions,
    prompt_for,
    score_choice,
    score_letter,
    score_text,
    scored_choices,
)
from rlpersona.tasks.prompts import Mode, letters_of
from rlpersona.tasks.scoring import Reward
from rlpersona.types import ChoiceScores, Completion, Message, Persona, Question, Score

ADA = Persona("Ada", "You are Ada.")
QUESTION = Question("id", "Which?", "bb", ("aaaa", "bb", "c"), cue="It is", source="mmlu")
MANY_TRUE = replace(QUESTION, source="truthfulqa_mc2", meta={"true_answers": ("bb", "c")})
PROGRAM = Question("id", "Add.", "def f(): ...", source="mbpp", meta={"tests": ("assert f()",)})


def said(text: str, cut: bool = False) -> Completion:
    return Completion(text, (), (), "length" if cut else "stop")


def asked(question: Question, mode: Mode) -> str:
    return prompt_for(question, NO_PERSONA, mode).messages[-1].content


def test_the_prompt_of_letters() -> None:
    prompt = prompt_for(QUESTION, ADA, "letters")
    assert prompt.messages[0] == Message("system", "You are Ada.")
    assert prompt.messages[1].content == (
        "Which?\n\nA. aaaa\nB. bb\nC. c\n\nReply with the letter of the right choice only."
    )
    assert prompt.cue == "Answer:"
    assert scored_choices(QUESTION, "letters") == ("A", "B", "C")
    assert scored_choices(QUESTION) == QUESTION.choices


def test_the_prompt_of_written_answers() -> None:
    prompt = prompt_for(QUESTION, ADA, "generate")
    assert prompt.cue == ""
    assert asked(QUESTION, "generate") == (
        "Which?\n\nA. aaaa\nB. bb\nC. c\n\n"
        "Begin your reply with 'Answer:' and the letter of the right choice."
    )


def test_a_context_gets_a_question_where_endings_are_listed() -> None:
    context = replace(QUESTION, source="hellaswag")
    assert asked(context, "letters").startswith(
        "Which?\n\nWhich ending makes the most sense?\n\nA. aaaa"
    )
    assert asked(context, "likelihood") == "Which?"


@pytest.mark.parametrize("mode", ["likelihood", "letters", "generate"])
def test_open_questions_say_how_to_end_in_every_mode(mode: Mode) -> None:
    number = Question("id", "6 * 3?", "18", source="gsm8k")
    assert asked(number, mode) == (
        "6 * 3?\n\nReason step by step. End with a line '#### NUMBER', the answer alone."
    )
    text = Question("id", "Which?", "1984", meta={"aliases": ("1984",)})
    assert asked(text, mode) == "Which?\n\nReply with the answer only, in a few words."
    free = Question("id", "Why?", "No", meta={"correct_answers": ("No",), "incorrect_answers": ("Yes",)})
    assert asked(free, mode) == "Why?\n\nReply in one short sentence."
    assert asked(Question("id", "Advise me.", ""), mode) == "Advise me."


def test_nano_is_asked_bare() -> None:
    for question in load_questions("nano", limit=50):
        prompt = prompt_for(question, NO_PERSONA)
        assert prompt.messages == (Message("user", question.text),)
        assert prompt.cue == question.cue


@given(st.lists(st.floats(-50, 0), min_size=3, max_size=3))
def test_letters_are_normalised_by_the_letter_not_by_the_text(values: list[float]) -> None:
    scores = ChoiceScores(tuple(values), (1, 1, 1))
    plain = score_choice(QUESTION, scores, "probability", "none", mode="letters")
    assert plain == score_choice(QUESTION, scores, "probability", "characters", mode="letters")


def test_the_mass_of_the_true_answers_by_hand() -> None:
    scores = ChoiceScores((math.log(0.2), math.log(0.3), math.log(0.1)), (4, 2, 1))
    rewards: tuple[Reward, ...] = ("accuracy", "probability")
    for reward in rewards:
        score = score_choice(MANY_TRUE, scores, reward)
        assert score.reward == pytest.approx(0.4 / 0.6)
        assert (score.correct, score.predicted) == (None, "bb")
    per_token = score_choice(MANY_TRUE, ChoiceScores((-4.0, -4.0, -3.0), (4, 2, 1)), normalise="tokens")
    true = math.exp(-2) + math.exp(-3)
    assert per_token.reward == pytest.approx(true / (true + math.exp(-1)))
    tied = score_choice(MANY_TRUE, ChoiceScores((-1.0, -1.0, -1.0), (1, 1, 1)))
    assert tied.reward == pytest.approx(2 / 3)
    assert tied.predicted is None


@pytest.mark.parametrize("mode", ["letters", "generate"])
def test_several_true_answers_have_no_one_letter(mode: Mode) -> None:
    for attempt in (
        lambda: prompt_for(MANY_TRUE, ADA, mode),
        lambda: check_scoring([QUESTION, MANY_TRUE], mode),
        lambda: score_letter(MANY_TRUE, said("B")),
    ):
        with pytest.raises(ConfigError, match="several true answers") as caught:
            attempt()
        assert "mode=likelihood" in caught.value.hint


def test_more_choices_than_letters() -> None:
    texts = tuple(str(number) for number in range(27))
    check_scoring([Question("id", "?", "1", texts)])
    assert letters_of(Question("id", "?", "1", texts[:26])) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    with pytest.raises(ConfigError, match="27 choices"):
        prompt_for(Question("id", "?", "1", texts), ADA, "letters")


def test_programs_and_questions_without_gold_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="mbpp: its answers are programs; score_text cannot judge them"
    ):
        check_scoring([PROGRAM])
    with pytest.raises(ConfigError, match="its answers are programs"):
        score_text(PROGRAM, said("18"))
    with pytest.raises(ConfigError, match="no number"):
        check_scoring([Question("id", "Capital?", "Paris")])
    check_scoring([QUESTION, Question("id", "6 * 3?", "18")], "generate")


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        (said("Answer: B"), Score(1.0, correct=True, predicted="bb")),
        (said("(a)"), Score(0.0, correct=False, predicted="aaaa")),
        (said("A good question"), Score(None, error="no clear letter in the answer")),
        (said("Answer: D"), Score(None, error="no clear letter in the answer")),
        (said("Answer: B or C"), Score(None, error="no clear letter in the answer")),
        (said(""), Score(None, error="no clear letter in the answer")),
        (said("Answer: B. It is the ri", cut=True), Score(1.0, correct=True, predicted="bb")),
        (said("Answer: B", cut=True), Score(None, error="cut off before the answer")),
        (said("Answer: B or C", cut=True), Score(None, error="cut off before the answer")),
        (said("Let me thi", cut=True), Score(None, error="cut off before the answer")),
    ],
)
def test_letters_in_written_answers(completion: Completion, expected: Score) -> None:
    assert score_letter(QUESTION, completion) == expected
    if expected.reward is None:
        assert score_letter(QUESTION, completion, "wrong") == Score(0.0, correct=False)


def test_an_open_question_has_no_letter() -> None:
    with pytest.raises(ValueError, match="no choices"):
        score_letter(Question("id", "6 * 3?", "18"), said("A"))


@given(st.text(max_size=80), st.booleans())
def test_a_written_answer_has_a_reward_or_an_error(text: str, cut: bool) -> None:
    score = score_letter(QUESTION, said(text, cut))
    assert (score.reward is None) == (score.error is not None)
    assert score.predicted is None or score.predicted in QUESTION.choices
