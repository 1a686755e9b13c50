"""What is rewarded, and what a reward says of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rlpersona.types import Question, Score


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion to be rewarded. `tokens` is its length, `finished` whether it ended by itself (the
    token cap did not cut it)."""

    question: Question
    text: str
    tokens: int
    finished: bool


Task = Callable[[Answer], Score]
"""How well an answer does what was asked, in [0, 1]; a Score without reward where none can be given."""


@dataclass(frozen=True)
class Parts:
    """The rewards of a batch of answers and what they are made of; every list has one entry an answer.

    `task` in [0, 1], None where nothing could be scored (`errors` says why, and is None elsewhere).
    `biases` are the features that the reward used, after the control, before their weight; `features`
    the same as the texts have them. `added` is what was added to the task (weights, cap and sign
    included, and the overlong punishment); `total` is `task + added`, None where the task is None.
    """

    task: list[float | None]
    biases: dict[str, list[float]]
    total: list[float | None]
    errors: list[str | None] = field(default_factory=list)
    features: dict[str, list[float]] = field(default_factory=dict)
    added: list[float] = field(default_factory=list)


def groups(answers: Sequence[Answer]) -> list[list[int]]:
    """Positions of the answers to each question, in the order in which questions first appear."""
    positions: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, answer in enumerate(answers):
        positions[answer.question.source, answer.question.id].append(i)
    return list(positions.values())
