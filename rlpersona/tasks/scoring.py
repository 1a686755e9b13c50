"""What an answer earns. A failure is data: it has an `error` and no reward, never a zero or a guess."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Literal

from rlpersona.errors import ConfigError
from rlpersona.tasks.answers import extract_letter, extract_number, same_number
from rlpersona.tasks.prompts import Mode, check_mode, gold_of, letters_of, prompt_for, scored_choices
from rlpersona.tasks.references import closer_to_truth, same_text, short_answer
from rlpersona.types import ChoiceScores, Completion, Question, Score

__all__ = [
    "check_scoring",
    "prompt_for",
    "score_choice",
    "score_letter",
    "score_text",
    "scored_choices",
]

Reward = Literal["accuracy", "probability"]
Normalise = Literal["none", "tokens", "characters"]
Unparsed = Literal["unscored", "wrong"]

_WEIGHED = re.compile(r"\b[A-Z]\)?\s*(?:,|/|&|or|and)\s*\Z")  # "B or", cut before the second letter


def check_scoring(questions: Iterable[Question], mode: Mode = "likelihood") -> None:
    """Raise ConfigError where an answer to one of the questions could not be asked for or be scored."""
    questions = list(questions)
    check_mode(questions, mode)
    for question in questions:
        if not question.choices:
            _judge_of(question)


def score_choice(
    question: Question,
    scores: ChoiceScores,
    reward: Reward = "probability",
    normalise: Normalise = "none",
    mode: Mode = "likelihood",
) -> Score:
    """Score the likelihoods of a question's choices, given in the order of `question.choices`.

    A choice's value is its log-likelihood in nats, divided by the tokens or the characters of what was
    scored in that mode (its text or its letter) if `normalise` says so (lm-evaluation-harness: "none" is
    `acc`, "characters" is `acc_norm`); the prediction is the choice of the largest value.
    `reward="accuracy"` is 1 if that is the answer, else 0; `"probability"` is the answer's softmax over
    the values, the same ranking with less noise.

    Where k choices share the largest value, nothing is predicted: `predicted` is None, `correct` is
    None if the answer is among them (else False), and the accuracy is 1/k or 0, the mean over all ways
    to break the tie. Of a question with several true answers (TruthfulQA MC2: `meta["true_answers"]`)
    the reward is the softmax mass on them, whatever `reward` says, and `correct` is None.

    A likelihood that is not finite, or a choice without tokens to divide by, gives an error and no
    reward. Raises ValueError where scores and choices do not match.
    """
    if not question.choices or len(scores.loglikelihoods) != len(question.choices):
        raise ValueError(
            f"{len(scores.loglikelihoods)} scores for {len(question.choices)} choices of {question.id}"
        )
    if not all(math.isfinite(value) for value in scores.loglikelihoods):
        return Score(None, error="log-likelihood is not finite")
    units = _units(scored_choices(question, mode), scores, normalise)
    if min(units) <= 0:
        return Score(None, error="a choice has no tokens")
    values = [value / unit for value, unit in zip(scores.loglikelihoods, units, strict=True)]
    top = max(values)
    best = [choice for choice, value in zip(question.choices, values, strict=True) if value == top]
    true = question.meta.get("true_answers")
    if true is not None:
        return Score(_mass(question, values, true), predicted=best[0] if len(best) == 1 else None)
    right = question.answer in best
    if reward == "accuracy":
        earned = 1 / len(best) if right else 0.0
    else:
        earned = _mass(question, values, (question.answer,))
    if len(best) > 1:
        return Score(earned, correct=None if right else False)
    return Score(earned, correct=right, predicted=best[0])


def _mass(question: Question, values: Sequence[float], wanted: Collection[str]) -> float:
    """Share of the softmax over the choices' values that lies on the wanted choices."""
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    held = [weight for choice, weight in zip(question.choices, weights, strict=True) if choice in wanted]
    return math.fsum(held) / math.fsum(weights)


def _units(choices: Sequence[str], scores: ChoiceScores, normalise: Normalise) -> Sequence[int]:
    if normalise == "tokens":
        return scores.token_counts
    return [len(choice) for choice in choices] if normalise == "characters" else [1] * len(choices)


def score_letter(question: Question, completion: Completion, unparsed: Unparsed = "unscored") -> Score:
    """Score a written answer to listed choices by the letter that it picks: reward 1 or 0.

    `predicted` is the text of the picked choice. A reply that names no letter clearly, or that the token
    cap cut before it did, has no reward, or 0 with `unparsed="wrong"`. Raises ValueError for an open
    question and ConfigError for one with several true answers.
    """
    if not question.choices:
        raise ValueError(f"question {question.id} has no choices to name by letters")
    check_mode([question], "generate")
    cut = completion.finish == "length"
    text = _without_torn_word(completion) if cut else completion.text
    letters = letters_of(question)
    letter = None if cut and _WEIGHED.search(text) else extract_letter(text, letters)
    if letter is None:
        return _unread(cut, "no clear letter in the answer", unparsed)
    predicted = question.choices[letters.index(letter)]
    correct = predicted == question.answer
    return Score(float(correct), correct=correct, predicted=predicted)


def score_text(question: Question, completion: Completion, unparsed: Unparsed = "unscored") -> Score:
    """Score a written answer to an open question, by the kind of its gold: reward 1 or 0.

    A number (GSM8K): equal as exact numbers. In a text that was cut only a marked answer counts
    (`####`, `\\boxed`, "answer is"), and not its last word, which may be torn: the last number there is
    a step on the way. A text with aliases (TriviaQA): the first line, or the whole answer, equals the
    gold or an alias in TriviaQA's normal form. References (TruthfulQA): the first paragraph is nearer to
    a true one than to a false one, see `closer_to_truth`; near to none is unscored.

    An answer without anything to compare, or one that the token cap cut before it was complete, has no
    reward by default: whether it is a wrong answer is the experiment's choice, not the parser's, and
    `unparsed="wrong"` makes it (reward 0). Raises ConfigError for a question that has no such gold.
    """
    return _judge_of(question)(question, completion, unparsed)


def _judge_of(question: Question) -> Callable[[Question, Completion, Unparsed], Score]:
    gold = gold_of(question)
    if gold == "program":
        raise ConfigError(
            f"{question.source}: its answers are programs; score_text cannot judge them",
            "Take a benchmark whose answers are choices, numbers or texts.",
        )
    if gold == "none":
        raise ConfigError(
            f"the gold answer '{question.answer[:40]}' of a {question.source} question is no number",
            "Score this benchmark by the likelihood of its choices.",
        )
    return {"number": _score_number, "text": _score_alias, "references": _score_references}[gold]


def _score_number(question: Question, completion: Completion, unparsed: Unparsed) -> Score:
    cut = completion.finish == "length"
    text = _without_torn_word(completion) if cut else completion.text
    predicted = extract_number(text, explicit=cut)
    if predicted is None:
        return _unread(cut, "no number in the answer", unparsed)
    correct = same_number(predicted, question.answer)
    return Score(float(correct), correct=correct, predicted=predicted)


def _score_alias(question: Question, completion: Completion, unparsed: Unparsed) -> Score:
    cut = completion.finish == "length"
    text = completion.text.rpartition("\n")[0] if cut else completion.text
    predicted = short_answer(text)
    if not predicted:
        return _unread(cut, "no text in the answer", unparsed)
    accepted = (question.answer, *question.meta["aliases"])
    correct = same_text(predicted, accepted) or same_text(text, accepted)
    return Score(float(correct), correct=correct, predicted=predicted)


def _score_references(question: Question, completion: Completion, unparsed: Unparsed) -> Score:
    cut = completion.finish == "length"
    text = completion.text.strip().partition("\n\n")[0]
    if not text:
        return _unread(cut, "no text in the answer", unparsed)
    meta = question.meta
    correct = closer_to_truth(text, meta["correct_answers"], meta["incorrect_answers"])
    if correct is None:
        return replace(_unread(cut, "matches no reference", unparsed), predicted=text)
    return Score(float(correct), correct=correct, predicted=text)


def _without_torn_word(completion: Completion) -> str:
    return re.sub(r"\S+\Z", "", completion.text)


def _unread(cut: bool, why: str, unparsed: Unparsed) -> Score:
    if unparsed == "wrong":
        return Score(0.0, correct=False)
    return Score(None, error="cut off before the answer" if cut else why)
