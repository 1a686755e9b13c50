"""Personas answer questions: the one place where answers become scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from rlpersona.tasks import prompt_for, score_choice, score_letter, score_text, scored_choices
from rlpersona.types import Model, Persona, Question, Sampling, Score

Pair = tuple[Persona, Question]
NOT_ASKED = Score(None, error="not asked")


class Scoring(Protocol):
    """The settings that decide how an answer is got and scored (see `BanditConfig`)."""

    @property
    def mode(self) -> Literal["likelihood", "letters", "generate"]: ...  # noqa: D102
    @property
    def normalise(self) -> Literal["none", "tokens", "characters"]: ...  # noqa: D102
    @property
    def max_tokens(self) -> int: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102


def evaluate(
    model: Model,
    personas: Sequence[Persona],
    questions: Sequence[Question],
    config: Scoring,
    reward: Literal["accuracy", "probability"],
) -> list[list[Score]]:
    """`scores[i][j]`: what persona i earned on question j."""
    pairs = [(persona, question) for persona in personas for question in questions]
    flat = evaluate_pairs(model, pairs, config, reward)
    return [flat[i * len(questions) : (i + 1) * len(questions)] for i in range(len(personas))]


def evaluate_pairs(
    model: Model,
    pairs: Sequence[Pair],
    config: Scoring,
    reward: Literal["accuracy", "probability"],
) -> list[Score]:
    """What each persona earned on its question, in the order of the pairs. At most two calls.

    Questions with choices are scored by log-likelihood, of the choices or of their letters; open ones,
    and all of them in mode `generate`, by a greedy answer.
    """
    scores = [NOT_ASKED] * len(pairs)
    written = [k for k, (_, question) in enumerate(pairs) if not by_likelihood(question, config)]
    compared = [k for k, (_, question) in enumerate(pairs) if by_likelihood(question, config)]
    if compared:
        likelihoods = model.score_choices(
            [prompt_for(pairs[k][1], pairs[k][0], config.mode) for k in compared],
            [scored_choices(pairs[k][1], config.mode) for k in compared],
        )
        for k, likelihood in zip(compared, likelihoods, strict=True):
            scores[k] = score_choice(pairs[k][1], likelihood, reward, config.normalise, config.mode)
    if written:
        completions = model.generate(
            [prompt_for(pairs[k][1], pairs[k][0], config.mode) for k in written],
            Sampling(max_tokens=config.max_tokens, seed=config.seed),
        )
        for k, completion in zip(written, completions, strict=True):
            question = pairs[k][1]
            scores[k] = (score_letter if question.choices else score_text)(question, completion)
    return scores


def by_likelihood(question: Question, config: Scoring) -> bool:
    """Whether a question is scored by the likelihood of its choices, not by what the model writes."""
    return bool(question.choices) and config.mode != "generate"
