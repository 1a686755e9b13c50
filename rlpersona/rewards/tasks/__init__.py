"""Tasks by domain: how well an answer does what was asked, in [0, 1]."""

from __future__ import annotations

from rlpersona.rewards.answer import Answer, Task
from rlpersona.rewards.tasks import coding, factual, mathematics, nano, writing
from rlpersona.tasks.nano import SOURCE
from rlpersona.types import Score

NANO: dict[str, Task] = {
    **dict.fromkeys(nano.CLOSED, nano.score_closed),
    **dict.fromkeys(nano.OPEN, nano.score_open),
}
FILES: dict[str, Task] = {
    "math": mathematics.score,
    "factual": factual.score,
    "coding": coding.score,
    "advice": writing.score,
    "opinion": writing.score,
    "creative": writing.score,
    "persuade": writing.score,
}


def score_task(answer: Answer) -> Score:
    """The task score of an answer by its question's domain; reward None and an error where there is
    none.

    Questions of the nano world (`source == "nano"`) are scored by its truth, others by their gold.
    """
    question = answer.question
    task = (NANO if question.source == SOURCE else FILES).get(question.domain)
    if task is None:
        return Score(None, error=f"no task for domain '{question.domain}' of source '{question.source}'")
    return task(answer)


TASKS: dict[str, Task] = dict.fromkeys([*NANO, *FILES], score_task)
"""Every domain that can be scored."""
