"""Programs: their shape while training, their tests when a run is read out."""

from __future__ import annotations

import pytest

from rlpersona.rewards import score_task
from rlpersona.rewards.sandbox import Limits
from rlpersona.rewards.tasks import execution
from rlpersona.rewards.tasks.coding import asked_function, code_of
from rlpersona.types import Question
from tests.unit.rewards.made import CODE, FACT, answer

HUMANEVAL = Question(
    "h",
    "Complete the function.",
    "    return x + 1\n",
    domain="coding",
    source="humaneval",
    meta={
        "prompt": 'def inc(x: int) -> int:\n    """One more."""\n',
        "entry_point": "inc",
        "tests": ("def check(candidate):\n    assert candidate(1) == 2\n",),
    },
)
FENCED = "Sure:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
SHAPES = [
    ("def add(a, b):\n    return a + b", 1),
    (FENCED, 1),
    ("```\ndef add(a, b):\n    return b + a", 1),
    ("def add(*numbers):\n    return sum(numbers)", 1),
    ("def add(a, b=0):\n    total = a\n    return total + b", 1),
    ("def add(a):\n    return a + 1", 0.7),
    ("def add(a, b):\n    pass", 0.7),
    ('def add(a, b):\n    """Adds."""\n    return 3', 0.7),
    ("def add(a, b):\n    return a", 0.7),
    ("def add(a, b):\n    raise NotImplementedError", 0.7),
    ("def plus(a, b):\n    return a + b", 0.4),
    ("class add:\n    pass", 0.4),
    ("def add(a, b) return a + b", 0),
    ("I would add the numbers.", 0),
    ("", 0),
    ("x" * 30_000, 0),
]


@pytest.mark.parametrize(("text", "earned"), SHAPES)
def test_shapes(text: str, earned: float) -> None:
    assert score_task(answer(CODE, text)).reward == pytest.approx(earned)


def test_more_comments_are_no_better() -> None:
    longer = FENCED.replace("    return", "    # The sum of both.\n    # Nothing else.\n    return")
    assert score_task(answer(CODE, longer)) == score_task(answer(CODE, FENCED))


def test_what_the_tests_call() -> None:
    assert asked_function(CODE) == ("add", 2)
    assert asked_function(HUMANEVAL) == ("inc", 1)
    wrapped = Question("1", "?", "", meta={"tests": ("assert set(find(1)) == set((1,))",)})
    assert asked_function(wrapped) == ("find", 1)
    assert asked_function(FACT) is None


@pytest.mark.parametrize(
    ("text", "passed"),
    [(FENCED, True), ("def add(a, b):\n    return 3", False), ("def add(a, b): return", False)],
)
def test_tests_are_run(text: str, passed: bool) -> None:
    assert execution.score(answer(CODE, text)).correct is passed


def test_the_setup_may_use_the_program() -> None:
    meta = {"tests": ("assert node.value == 1",), "setup": "node = Node(1)"}
    asked = Question("1", "?", "", domain="coding", source="mbpp", meta=meta)
    text = "class Node:\n    def __init__(self, value):\n        self.value = value"
    assert execution.score(answer(asked, text)).reward == 1


def test_humaneval_continues_its_prompt() -> None:
    whole = "def inc(x):\n    return x + 1"
    assert code_of(answer(HUMANEVAL, whole)) == whole
    scores = execution.score_all(
        [answer(HUMANEVAL, text) for text in (HUMANEVAL.answer, whole, "    return x\n")],
        limits=Limits(seconds=2),
    )
    assert [score.reward for score in scores] == [1, 1, 0]
    assert score_task(answer(HUMANEVAL, HUMANEVAL.answer)).reward == 1


def test_a_question_without_tests_cannot_be_scored() -> None:
    assert execution.score(answer(FACT, "x = 1")).error
