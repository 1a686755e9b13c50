"""Prompts to completions to answers, for all conditions of a pack in one call of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from rlpersona.rewards import Answer
from rlpersona.training.packed.layout import Group
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.rollouts import Asked, complete, end_ids, streams
from rlpersona.types import Question

Stream = tuple[str, int, int]  # what for, seed, step
Request = tuple[int, Sequence[Question], int, Stream]  # condition, prompts, completions of each


@dataclass(frozen=True)
class Written:
    """The completions of one condition, as token ids by prompt and as answers in the same order.

    `logps`: the log-probabilities of their tokens by an engine with weights of its own; None where the
    weights that are trained wrote them.
    """

    groups: list[Group]
    answers: list[Answer]
    logps: list[list[float]] | None = None


class Writer(Protocol):
    """Who writes the completions of a pack."""

    def write(self, requests: Sequence[Request]) -> list[Written]:
        """The completions of each request, in one call of the engine."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


class Texts:
    """Questions to token ids, and completions to answers, as TRL's trainer makes them."""

    def __init__(self, tokenizer: Any, ends: frozenset[int]) -> None:
        self.ends = ends
        self._tokenizer = tokenizer
        self.prompt = lru_cache(maxsize=65536)(self._prompt)

    def written(self, questions: Sequence[Question], completions: Sequence[list[int]]) -> Written:
        """`completions` come in as many for each question, question by question."""
        each = len(completions) // len(questions)
        texts = self._tokenizer.batch_decode(completions, skip_special_tokens=True)
        asked = [question for question in questions for _ in range(each)]
        answers = [self._answer(*row) for row in zip(asked, texts, completions, strict=True)]
        groups = [
            Group(self.prompt(question.text), completions[at * each : (at + 1) * each])
            for at, question in enumerate(questions)
        ]
        return Written(groups, answers)

    def _answer(self, question: Question, text: str, ids: Sequence[int]) -> Answer:
        finished = bool(ids) and ids[-1] in self.ends
        return Answer(question, text.strip(), len(ids) - finished, finished)

    def _prompt(self, text: str) -> list[int]:
        found = self._tokenizer.apply_chat_template(
            [{"role": "user", "content": text}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        )
        return list(found["input_ids"])


class StackWriter:
    """The base itself writes, with the stacked adapters: see `rollouts`."""

    def __init__(self, network: Network, tokenizer: Any, cap: int) -> None:
        self._network, self._cap = network, cap
        self._texts = Texts(tokenizer, end_ids(network.net, tokenizer))

    def close(self) -> None:
        """It holds nothing of its own."""

    def write(self, requests: Sequence[Request]) -> list[Written]:
        """See `Writer`; a condition's completions depend on its weights and its stream alone."""
        asked = []
        for condition, questions, each, (what, seed, step) in requests:
            prompts = [self._texts.prompt(question.text) for question in questions]
            uniforms = streams(seed, step, len(prompts) * each, self._cap, what)
            asked.append(Asked(condition, prompts, each, uniforms))
        found = complete(self._network, asked, self._texts.ends, self._cap)
        return [
            self._texts.written(questions, completions)
            for (_, questions, _, _), completions in zip(requests, found, strict=True)
        ]
