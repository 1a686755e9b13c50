"""Programs when a run is read out: do they pass their tests?"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rlpersona.rewards.answer import Answer
from rlpersona.rewards.sandbox import Limits, run_tests
from rlpersona.rewards.tasks.coding import code_of
from rlpersona.types import Question, Score


def score(answer: Answer, limits: Limits | None = None) -> Score:
    """1 if the program passes every test of its question (MBPP, HumanEval), else 0; None where the
    question has no tests, or the sandbox could not be started."""
    question = answer.question
    tests = tests_of(question)
    if not tests:
        return Score(None, error=f"a {question.source} question has no tests to run")
    outcome = run_tests(code_of(answer), tests, limits)
    if not outcome.ran:
        return Score(None, error=outcome.error)
    return Score(float(outcome.passed), correct=outcome.passed)


def score_all(answers: Sequence[Answer], workers: int = 2, limits: Limits | None = None) -> list[Score]:
    """`score` of each answer, so many at a time."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda answer: score(answer, limits), answers))


def tests_of(question: Question) -> tuple[str, ...]:
    """What runs after the program: MBPP's setup, which may use what the program defines, and the tests.
    HumanEval's define `check`, which is then called."""
    meta = question.meta
    tests = meta.get("tests", ())
    tests = (tests,) if isinstance(tests, str) else tuple(tests)
    if tests and meta.get("setup"):
        tests = (str(meta["setup"]), *tests)
    name = meta.get("entry_point")
    source, call = "\n".join(tests), f"check({name})"
    return (*tests, call) if "def check(" in source and call not in source else tests
