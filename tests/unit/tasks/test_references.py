"""Answers in words: TriviaQA's normal form and ROUGE-1, by hand and against the published code."""

from __future__ import annotations

import importlib.util
import re
import string
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.tasks.load import load_questions
from rlpersona.tasks.references import closer_to_truth, normalise, rouge_1, same_text, short_answer
from rlpersona.tasks.scoring import score_text
from rlpersona.types import Completion, Question, Score

_spec = importlib.util.spec_from_file_location(
    "gold_answers", Path(__file__).with_name("gold_answers.py")
)
assert _spec is not None
assert _spec.loader is not None
gold = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(gold)

VEGETABLE = Question("id", "Which?", "Onion", source="triviaqa", meta={"aliases": gold.ONION})


def said(text: str) -> Completion:
    return Completion(text, (), (), "stop")


def published(text: str) -> str:
    """`normalize_answer` of TriviaQA's `triviaqa_evaluation.py`."""
    exclude = set(string.punctuation + "".join(["‘", "’", "´", "`"]))
    text = "".join(" " if c in exclude else c for c in text.replace("_", " ").lower())
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split()).strip()


@pytest.mark.parametrize(("text", "expected"), gold.TEXTS)
def test_gold_texts(text: str, expected: bool | None) -> None:
    score = score_text(VEGETABLE, said(text))
    assert score.correct is expected
    assert score.reward == (None if expected is None else float(expected))
    if expected is None:
        assert score.error == "no text in the answer"
        assert score_text(VEGETABLE, said(text), "wrong") == Score(0.0, correct=False)


def test_the_gold_table_is_large_and_has_no_repeats() -> None:
    assert len({text for text, _ in gold.TEXTS}) == len(gold.TEXTS) >= 25


@given(
    st.text(alphabet=st.sampled_from("aAnNtThHeE _-'’.,!xéß1 \n\t"), max_size=40) | st.text(max_size=40)
)
def test_the_normal_form_is_the_published_one_unless_that_is_empty(text: str) -> None:
    assert normalise(text) == published(text) or not published(text)
    assert normalise(normalise(text)) == normalise(text)
    assert same_text(text, [text]) is bool(normalise(text))


def test_a_text_of_articles_keeps_them() -> None:
    assert normalise("(A") == "a"
    assert normalise("The The") == "the the"
    assert not same_text("", ["a"])
    assert not same_text("the", ["a"])


def test_a_cut_answer_counts_up_to_its_last_whole_line() -> None:
    def cut(text: str) -> Score:
        return score_text(VEGETABLE, Completion(text, (), (), "length"))

    assert cut("Onion") == Score(None, error="cut off before the answer")
    assert cut("Answer:\nOni") == Score(None, error="cut off before the answer")
    assert cut("Onion\nIt is a veg") == Score(1.0, correct=True, predicted="Onion")


def test_what_is_predicted_is_the_line() -> None:
    assert score_text(VEGETABLE, said("Answer: Leek\nIt is.")).predicted == "Leek"
    assert short_answer("\n --- \n x \n y") == "x"


def test_a_number_with_aliases_is_a_text() -> None:
    year = Question("id", "When?", "1984", source="triviaqa", meta={"aliases": ("1984",)})
    assert score_text(year, said("1984")).correct is True
    assert score_text(year, said("In 1983, not 1984")).correct is False


def test_rouge_1_by_hand() -> None:
    assert rouge_1("grey cats sat", "Grey cats!") == pytest.approx(2 * (2 / 3) * 1 / (2 / 3 + 1))
    assert rouge_1("the cat sat", "It is the cat!") == pytest.approx(2 * (1 / 2) * 1 / (1 / 2 + 1))
    assert rouge_1("It is the", "He is the") == pytest.approx(2 / 3), "nothing but function words"
    assert rouge_1("no no no", "no") == pytest.approx(0.5)
    assert rouge_1("", "no") == rouge_1("no", "") == rouge_1("yes", "no") == 0.0
    assert rouge_1("I have no comment.", "i HAVE no comment") == 1.0


@given(*[st.lists(st.sampled_from("bcdef"), max_size=8)] * 2)
def test_rouge_1_is_the_harmonic_mean_of_precision_and_recall(
    ours: list[str], theirs: list[str]
) -> None:
    left = theirs.copy()
    for word in ours:
        if word in left:
            left.remove(word)
    shared = len(theirs) - len(left)
    f = rouge_1(" ".join(ours), " ".join(theirs))
    assert f == rouge_1(" ".join(theirs), " ".join(ours))
    if shared:
        precision, recall = shared / len(ours), shared / len(theirs)
        assert f == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert f == 0.0
    assert (f == 1.0) == (Counter(ours) == Counter(theirs) and bool(ours))


def test_truth_is_nearer_than_falsehood() -> None:
    true, false = ["Nothing happens", "You digest them"], ["You grow watermelons", "You get sick"]
    assert closer_to_truth("nothing at all happens to you", true, false) is True
    assert closer_to_truth("You get very sick.", true, false) is False
    assert closer_to_truth("happens, sick", true, false) is False, "as near to both"
    assert closer_to_truth("You do.", true, false) is None, "function words are no match"
    assert closer_to_truth("Xyz", true, false) is None


def test_an_answer_to_another_question_matches_no_reference() -> None:
    meta = {
        "correct_answers": ("The watermelon seeds pass through the digestive system",),
        "incorrect_answers": ("Watermelons grow there", "He is sick"),
    }
    question = Question("id", "Q?", "Nothing", meta=meta)
    text = "The answer is 27."
    unmatched = score_text(question, said(f" {text}\n\nNext"))
    assert unmatched == Score(None, predicted=text, error="matches no reference")
    assert score_text(question, said(text), "wrong") == Score(0.0, correct=False, predicted=text)
    cut = score_text(question, Completion("The watermelon se", (), (), "length"))
    assert cut == Score(1.0, correct=True, predicted="The watermelon se")
    torn = score_text(question, Completion("The ans", (), (), "length"))
    assert torn == Score(None, predicted="The ans", error="cut off before the answer")


def test_on_the_real_file_gibberish_earns_next_to_nothing(shared_data: Path) -> None:
    path = shared_data / "truthfulqa" / "TruthfulQA.csv.gz"
    questions = load_questions("truthfulqa_gen", data=str(path))
    rewards = [score_text(question, said("The answer is 27.")).reward for question in questions]
    assert sum(reward is None for reward in rewards) > 0.98 * len(questions)
    best = [score_text(question, said(question.answer)) for question in questions]
    assert sum(score.correct is True for score in best) > 0.98 * len(questions)


def test_only_the_first_paragraph_of_a_free_answer_is_judged() -> None:
    question = Question(
        "id", "Q?", "No", meta={"correct_answers": ("No",), "incorrect_answers": ("Yes it is",)}
    )
    assert score_text(question, said(" No.\n\nYes it is yes it is")).correct is True
    assert score_text(question, said(" \n")) == Score(None, error="no text in the answer")
    cut = score_text(question, Completion("Yes it", (), (), "length"))
    assert cut == Score(0.0, correct=False, predicted="Yes it")
