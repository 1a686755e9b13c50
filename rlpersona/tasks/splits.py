"""Splits that stay as they are when rows are added, and share no question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rlpersona.errors import ConfigError, DataError
from rlpersona.tasks.identity import digest, unit
from rlpersona.types import Question


def split(
    questions: Sequence[Question], fractions: Mapping[str, float], seed: int
) -> dict[str, list[Question]]:
    """Deal the questions to named parts, e.g. `{"train": 0.7, "fresh": 0.3}`; each part keeps the order.

    The part of a question depends on its text and the seed alone: other rows, their order and their
    number do not matter, and one text with two sets of choices never lies on both sides. Sizes
    therefore scatter about `fraction * n` as a binomial count does. Fractions that add up to less
    than 1 leave the rest of the questions out. Raises ConfigError for fractions that cannot be and
    DataError for a part that got nothing.
    """
    total = math.fsum(fractions.values())
    if not fractions or not all(0 < share <= 1 for share in fractions.values()) or total > 1 + 1e-9:
        raise ConfigError(
            f"fractions of a split must be above 0 and add up to at most 1, got {dict(fractions)}",
            'Write them as {"train": 0.7, "fresh": 0.3}.',
        )
    bounds = [math.fsum(list(fractions.values())[: i + 1]) for i in range(len(fractions))]
    if total > 1 - 1e-9:
        bounds[-1] = 1.0
    parts: dict[str, list[Question]] = {name: [] for name in fractions}
    for question in questions:
        draw = unit("split", seed, question.text)
        for name, bound in zip(fractions, bounds, strict=True):
            if draw < bound:
                parts[name].append(question)
                break
    for name, members in parts.items():
        if not members:
            raise DataError(
                f"the part '{name}' ({fractions[name]:g}) got none of {len(questions)} questions",
                "Give more questions or a larger fraction.",
            )
    return parts


def set_apart(questions: Sequence[Question], n: int, seed: int) -> tuple[list[Question], list[Question]]:
    """(the rest, a sample of about `n`): the texts whose hash with `seed` is lowest are set apart.

    Which they are does not depend on the order of the rows. All questions of one text go to the same
    side; the sample stops at the first text with which it has `n`. Each side keeps the order.
    """
    ranked = sorted(
        {question.text for question in questions}, key=lambda text: unit("apart", seed, text)
    )
    wanted: set[str] = set()
    counts = Counter(question.text for question in questions)
    taken = 0
    for text in ranked:
        if taken >= n:
            break
        wanted.add(text)
        taken += counts[text]
    rest = [question for question in questions if question.text not in wanted]
    return rest, [question for question in questions if question.text in wanted]


def fingerprint(questions: Iterable[Question]) -> str:
    """One hash (64 hex digits) for a set of questions, whatever their order: what a run was made on."""
    return digest(sorted((question.source, question.id) for question in questions))
