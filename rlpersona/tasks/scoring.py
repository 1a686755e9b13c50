"""What an answer earns. A failure is data: it has an `error` and no reward, never a zero or a guess."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

from rlpersona.errors import ConfigError
from rlpersona.tasks.answers import extract_number, parse_number, same_number
from rlpersona.types import ChoiceScores, Completion, Persona, Prompt, Question, Score

Reward = Literal["accuracy", "probability"]
Normalise = Literal["none", "tokens", "characters"]


def prompt_for(question: Question, persona: Persona) -> Prompt:
    """The question as the persona meets it; the answer begins with the question's cue."""
    return Prompt.ask(question.text, persona.system, question.cue)


def score_choice(
    question: Question,
    scores: ChoiceScores,
    reward: Reward = "probability",
    normalise: Normalise = "none",
) -> Score:
    """Score the likelihoods of a question's choices, given in the order of `question.choices`.

    A choice's value is its log-likelihood in nats, divided by its tokens or its characters if
    `normalise` says so (lm-evaluation-harness: "none" is `acc`, "characters" is `acc_norm`); the
    prediction is the choice of the largest value. `reward="accuracy"` is 1 if that is the answer, else
    0; `"probability"` is the answer's softmax over the values, the same ranking with less noise.

    Where k choices share the largest value, nothing is predicted: `predicted` is None, `correct` is
    None if the answer is among them (else False), and the accuracy is 1/k or 0, the mean over all ways
    to break the tie. A likelihood that is not finite, or a choice without tokens to divide by, gives an
    error and no reward. Raises ValueError where scores and choices do not match.
    """
    if not question.choices or len(scores.loglikelihoods) != len(question.choices):
        raise ValueError(
            f"{len(scores.loglikelihoods)} scores for {len(question.choices)} choices of {question.id}"
        )
    if not all(math.isfinite(value) for value in scores.loglikelihoods):
        return Score(None, error="log-likelihood is not finite")
    units = _units(question.choices, scores, normalise)
    if min(units) <= 0:
        return Score(None, error="a choice has no tokens")
    values = [value / unit for value, unit in zip(scores.loglikelihoods, units, strict=True)]
    top = max(values)
    best = [choice for choice, value in zip(question.choices, values, strict=True) if value == top]
    right = question.answer in best
    if reward == "accuracy":
        earned = 1 / len(best) if right else 0.0
    else:
        earned = math.exp(values[question.answer_index] - top) / math.fsum(
            math.exp(value - top) for value in values
        )
    if len(best) > 1:
        return Score(earned, correct=None if right else False)
    return Score(earned, correct=right, predicted=best[0])


def _units(choices: Sequence[str], scores: ChoiceScores, normalise: Normalise) -> Sequence[int]:
    if normalise == "tokens":
        return scores.token_counts
    return [len(choice) for choice in choices] if normalise == "characters" else [1] * len(choices)


def score_text(
    question: Question, completion: Completion, unparsed: Literal["unscored", "wrong"] = "unscored"
) -> Score:
    """Score a worked answer against a gold number: reward 1 if equal as exact numbers, else 0.

    A text without a readable number, or one that the token cap cut before its answer, has no reward by
    default: whether it is a wrong answer is the experiment's choice, not the parser's, and
    `unparsed="wrong"` makes it (reward 0). In a text that was cut only a marked answer counts (`####`,
    `\\boxed`, "answer is"), and not its last word, which may be torn: the last number there is a
    step on the way. Raises ConfigError for a question whose gold is not a number.
    """
    if parse_number(question.answer) is None:
        raise ConfigError(
            f"the gold answer '{question.answer[:40]}' of a {question.source} question is no number",
            "Score this benchmark by the likelihood of its choices.",
        )
    cut = completion.finish == "length"
    text = re.sub(r"\S+\Z", "", completion.text) if cut else completion.text
    predicted = extract_number(text, explicit=cut)
    if predicted is not None:
        correct = same_number(predicted, question.answer)
        return Score(float(correct), correct=correct, predicted=predicted)
    if unparsed == "wrong":
        return Score(0.0, correct=False)
    return Score(None, error="cut off before the answer" if cut else "no number in the answer")
