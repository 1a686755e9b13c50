"""MBPP: short Python programs with tests (Austin et al. 2021, 2108.07732).

An answer is a program. It is judged by running the tests in `meta`, which comparing texts cannot do.
"""

from __future__ import annotations

from typing import Any

from rlpersona.tasks.benchmark import (
    Benchmark,
    MalformedRow,
    clean_text,
    open_question,
    text_of,
    value_of,
)
from rlpersona.tasks.files import Row
from rlpersona.types import Question

_SPLITS = {"few-shot": range(1, 11), "test": range(11, 511), "validation": range(511, 601)}
_TRAIN = range(601, 975)


def parse(row: Row, seed: int) -> Question:
    """`text` (or `prompt`, in the sanitized form), `code`, `task_id` and `test_list`.

    The gold is the reference program. The domain is the official split, by `task_id`. `meta` holds
    `task_id`, `tests` and `challenge_tests` (assert statements), and `setup` (code to run before them).
    """
    task = value_of(row, "task_id")
    if isinstance(task, bool) or not isinstance(task, int) or not 1 <= task < _TRAIN.stop:
        raise MalformedRow(f"column 'task_id' must be a number from 1 to 974, not {task!r}")
    tests = _texts(value_of(row, "test_list"), "test_list")
    if not tests:
        raise MalformedRow("column 'test_list' is empty")
    imports = _texts(row.get("test_imports") or [], "test_imports")
    return open_question(
        "mbpp",
        text_of(row, "prompt" if "prompt" in row else "text"),
        text_of(row, "code"),
        domain=next((name for name, tasks in _SPLITS.items() if task in tasks), "train"),
        meta={
            "task_id": task,
            "tests": tests,
            "challenge_tests": _texts(row.get("challenge_test_list") or [], "challenge_test_list"),
            "setup": "\n".join([*imports, str(row.get("test_setup_code") or "")]).strip(),
        },
    )


def _texts(value: Any, column: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise MalformedRow(f"column '{column}' must be a list, not {type(value).__name__}")
    return tuple(clean_text(text, f"an entry of '{column}'") for text in value)


BENCHMARK = Benchmark("mbpp", "google-research-datasets/mbpp:full:test", parse)
