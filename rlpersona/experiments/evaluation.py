"""Every persona answers every question: the one place where answers become scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rlpersona.config import BanditConfig
from rlpersona.tasks.scoring import prompt_for, score_choice, score_text
from rlpersona.types import Model, Persona, Question, Sampling, Score


def evaluate(
    model: Model,
    personas: Sequence[Persona],
    questions: Sequence[Question],
    config: BanditConfig,
    reward: Literal["accuracy", "probability"],
) -> list[list[Score]]:
    """`scores[i][j]`: what persona i earned on question j. All in two batched calls to the model.

    Questions with choices are scored by log-likelihood, open ones by a greedy answer.
    """
    pairs = [(i, j) for i in range(len(personas)) for j in range(len(questions))]
    with_choices = [(i, j) for i, j in pairs if questions[j].choices]
    open_ended = [(i, j) for i, j in pairs if not questions[j].choices]
    scores: list[list[Score]] = [[Score(None, error="not asked")] * len(questions) for _ in personas]

    if with_choices:
        likelihoods = model.score_choices(
            [prompt_for(questions[j], personas[i]) for i, j in with_choices],
            [questions[j].choices for _, j in with_choices],
        )
        for (i, j), likelihood in zip(with_choices, likelihoods, strict=True):
            scores[i][j] = score_choice(questions[j], likelihood, reward, config.normalise)
    if open_ended:
        completions = model.generate(
            [prompt_for(questions[j], personas[i]) for i, j in open_ended],
            Sampling(max_tokens=config.max_tokens, seed=config.seed),
        )
        for (i, j), completion in zip(open_ended, completions, strict=True):
            scores[i][j] = score_text(questions[j], completion)
    return scores
