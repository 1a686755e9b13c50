"""A simulated world in place of the language model: planted skills, seeded answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from rlpersona.config import BanditConfig, ModelConfig
from rlpersona.experiments.bandit.search import Inputs, search
from rlpersona.experiments.bandit.validation import validate
from rlpersona.store import Run
from rlpersona.types import ChoiceScores, Completion, Persona, Prompt, Question, Sampling

EASE = (0.2, 0.8)
"""Range of the chance that a question is answered right; gains within .2 are never cut off."""


class World:
    """A model that knows each question with its own chance, and each persona's gain over that.

    An answer is a function of the seed, the system prompt and the question, as a greedy model's is.
    """

    def __init__(
        self, seed: int, questions: Sequence[Question], gains: Mapping[str | None, float] | None = None
    ) -> None:
        self.seed = seed
        ease = np.random.default_rng([seed, 8]).uniform(*EASE, len(questions)).tolist()
        self.known = {q.text: (q.answer, e) for q, e in zip(questions, ease, strict=True)}
        self.gains = gains or {}

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """Zero for the choice that is taken, -1 for the others."""
        return [self._answer(prompt, offered) for prompt, offered in zip(prompts, choices, strict=True)]

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        raise NotImplementedError("this world is asked questions with choices only")

    def close(self) -> None:
        pass

    def _answer(self, prompt: Prompt, offered: Sequence[str]) -> ChoiceScores:
        system = prompt.messages[0].content if len(prompt.messages) > 1 else None
        text = prompt.messages[-1].content
        answer, ease = self.known[text]
        key = blake2b(f"{self.seed}|{system}|{text}".encode(), digest_size=8).digest()
        right = int.from_bytes(key, "big") / 2**64 < ease + self.gains.get(system, 0.0)
        return ChoiceScores(
            tuple(0.0 if (choice == answer) == right else -1.0 for choice in offered),
            (1,) * len(offered),
        )


class Forgetful:
    """Checkpoints that keep nothing: these searches are not interrupted."""

    def load(self) -> dict[str, Any] | None:
        return None

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        pass


def questions(n: int, name: str = "q") -> list[Question]:
    return [
        Question(f"{name}{k}", f"{name} {k}?", "yes", ("yes", "no"), source="world") for k in range(n)
    ]


def people(n: int) -> list[Persona]:
    return [Persona(f"Person {k}", f"You are Person {k}.") for k in range(n)]


def lived(
    folder: Path,
    config: BanditConfig,
    personas: Sequence[Persona],
    asked: tuple[Sequence[Question], Sequence[Question]],
    model: World,
) -> dict[str, Any]:
    """The real search and validation in a world; returns the summary."""
    search_on, fresh = asked
    inputs = Inputs(
        model=ModelConfig(), personas=list(personas), search=list(search_on), fresh=list(fresh)
    )
    run = Run(folder)
    policy, seconds = search(config, inputs, run, Forgetful(), model)
    return validate(config, inputs, run, policy, model, seconds)
