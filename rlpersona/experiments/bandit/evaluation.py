"""Personas answer questions: the one place where answers become scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from rlpersona.judges.base import Judge, Winner
from rlpersona.judges.base import Pair as Compared
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.tasks import prompt_for, score_choice, score_letter, score_text, scored_choices
from rlpersona.types import Completion, Model, Persona, Prompt, Question, Sampling, Score

Pair = tuple[Persona, Question]
Reward = Literal["accuracy", "probability", "judged"]
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
    @property
    def temperature(self) -> float: ...  # noqa: D102


def evaluate(
    model: Model,
    personas: Sequence[Persona],
    questions: Sequence[Question],
    config: Scoring,
    reward: Reward,
    judge: Judge | None = None,
) -> list[list[Score]]:
    """`scores[i][j]`: what persona i earned on question j."""
    pairs = [(persona, question) for persona in personas for question in questions]
    flat = evaluate_pairs(model, pairs, config, reward, judge)
    return [flat[i * len(questions) : (i + 1) * len(questions)] for i in range(len(personas))]


def evaluate_pairs(
    model: Model,
    pairs: Sequence[Pair],
    config: Scoring,
    reward: Reward,
    judge: Judge | None = None,
) -> list[Score]:
    """What each persona earned on its question, in the order of the pairs. At most two calls.

    Questions with choices are scored by log-likelihood, of the choices or of their letters; open ones,
    and all of them in mode `generate`, by a written answer; with the reward `judged`, by what `judge`
    says of it beside the answer of no persona.
    """
    if reward == "judged":
        assert judge is not None
        return judged(model, pairs, config, judge)
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
        prompts = [prompt_for(pairs[k][1], pairs[k][0], config.mode) for k in written]
        for k, completion in zip(written, answers(model, prompts, config), strict=True):
            question = pairs[k][1]
            scores[k] = (score_letter if question.choices else score_text)(question, completion)
    return scores


def by_likelihood(question: Question, config: Scoring) -> bool:
    """Whether a question is scored by the likelihood of its choices, not by what the model writes."""
    return bool(question.choices) and config.mode != "generate"


def judged(model: Model, pairs: Sequence[Pair], config: Scoring, judge: Judge) -> list[Score]:
    """1 where the judge prefers the persona's answer to that of no persona, 0 where it prefers the
    other, 1/2 for a tie; an answer that could not be judged has an error and no reward.

    A right answer, where the question has one, is shown to the judge as a reference. No persona is
    asked once per question and ties with itself.
    """
    plain = [(NO_PERSONA, question) for _, question in pairs]
    asked = {identity(pair): pair for pair in [*plain, *pairs]}
    # The bare question: a judge reads whole answers, not what continues a cue.
    prompts = [Prompt.ask(question.text, persona.system) for persona, question in asked.values()]
    written = answers(model, prompts, config)
    texts = dict(zip(asked, (done.text for done in written), strict=True))
    compared = [
        Compared(pair[1].text, texts[identity(pair)], texts[identity(other)], pair[1].answer)
        for pair, other in zip(pairs, plain, strict=True)
    ]
    verdicts = judge.compare(compared)
    worth: dict[Winner | None, float | None] = {"a": 1.0, "tie": 0.5, "b": 0.0, None: None}
    return [
        Score(worth[verdict.winner], predicted=texts[identity(pair)], error=verdict.error)
        for pair, verdict in zip(pairs, verdicts, strict=True)
    ]


def identity(pair: Pair) -> tuple[str, str, str]:
    """What tells a pair from every other."""
    persona, question = pair
    return persona.name, question.source, question.id


def answers(model: Model, prompts: Sequence[Prompt], config: Scoring) -> list[Completion]:
    """What the model writes to each prompt. A draw depends on its place in the call."""
    sampling = Sampling(max_tokens=config.max_tokens, temperature=config.temperature, seed=config.seed)
    return model.generate(prompts, sampling)
