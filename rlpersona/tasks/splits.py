"""Setting questions apart so that two sets share no text, and naming a set by its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rlpersona.tasks.identity import digest, unit
from rlpersona.types import Question


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
