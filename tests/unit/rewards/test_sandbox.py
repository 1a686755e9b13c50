"""What a program may not do, done for real."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from rlpersona.rewards import Answer
from rlpersona.rewards.sandbox import Limits, Outcome, run_tests
from rlpersona.rewards.tasks import coding, execution
from rlpersona.tasks.benchmarks.mbpp import parse
from rlpersona.tasks.identity import unit

QUICK = Limits(seconds=1, memory=256 * 2**20)
TESTS = ["assert f(1) == 2"]
RIGHT = "def f(x):\n    return 2\n"


def run(program: str, tests: list[str] | None = None) -> Outcome:
    outcome = run_tests(program, TESTS if tests is None else tests, QUICK)
    assert outcome.ran
    return outcome


def test_a_right_program_passes_and_a_wrong_one_says_why() -> None:
    assert run(RIGHT).passed
    assert run(f"import re, math, json, collections\n{RIGHT}").passed
    assert "test 1: AssertionError" in str(run("def f(x):\n    return 3").error)
    assert "the program: SyntaxError" in str(run("def f(x) return").error)
    assert "test 2: ZeroDivisionError" in str(run(RIGHT, [*TESTS, "1 / 0"]).error)


@pytest.mark.parametrize(
    "leaving",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "quit = exit = None\nraise KeyboardInterrupt",
        "def f(x):\n    import os\n    os._exit(0)",
        "import os\nfor i in range(3, 32):\n    try:\n        os.write(i, b'{\"error\": null}\\n' * 2)\n"
        "    except OSError:\n        pass\nos._exit(0)",
    ],
)
def test_leaving_before_the_tests_is_no_pass(leaving: str) -> None:
    assert not run(leaving).passed


@pytest.mark.parametrize("endless", ["while True: pass", "while True: print('x' * 10_000)"])
def test_what_does_not_end_is_ended(endless: str) -> None:
    outcome = run(endless)
    assert not outcome.passed
    assert "over 1 s" in str(outcome.error)


def test_memory_ends() -> None:
    assert "MemoryError" in str(run(f"x = bytearray(10**10)\n{RIGHT}").error)
    assert not run(f"x = []\nwhile True: x.append('y' * 10**6)\n{RIGHT}").passed


def test_files_outside_are_out_of_reach(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outcome = run(f"open({str(outside)!r}, 'w')\n{RIGHT}")
    if "files" not in outcome.given_up:
        pytest.skip("this kernel gives no mount namespace")
    assert not outcome.passed
    assert not outside.exists()
    assert run(f"open('inside', 'w').write('a')\n{RIGHT}").passed
    assert "too large" in str(run("with open('big', 'w') as big:\n    big.write('a' * 2**21)").error)


def test_other_processes_and_the_network_are_out_of_reach() -> None:
    bomb = run("import os\nwhile True: os.fork()")
    if not {"processes", "network"} <= bomb.given_up:
        pytest.skip("this kernel gives neither seccomp nor namespaces")
    assert "PermissionError" in str(bomb.error)
    me = os.getpid()
    for attempt in (
        f"import os\nos.kill({me}, 9)",
        "import os\nos.execv('/bin/true', ['true'])",
        "import subprocess\nsubprocess.run(['true'])",
        "import socket\nsocket.create_connection(('127.0.0.1', 9), 1)",
    ):
        assert "Error" in str(run(f"{attempt}\n{RIGHT}").error)


def test_nothing_of_the_parent_is_handed_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "key")
    assert run(f"import os\nassert 'SECRET' not in os.environ\n{RIGHT}").passed
    assert not run(f"import rlpersona\n{RIGHT}").passed


def test_reference_solutions_pass(shared_data: Path) -> None:
    """60 of the 974, drawn by content; the shape is checked for all."""
    with gzip.open(shared_data / "mbpp" / "mbpp.jsonl.gz", "rt", encoding="utf-8") as file:
        asked = [parse(json.loads(line), 0) for line in file]
    known = [Answer(question, question.answer, 1, True) for question in asked]
    assert len(known) == 974
    assert {coding.score(one).reward for one in known} == {1}
    drawn = sorted(known, key=lambda one: unit("mbpp", one.question.id))[:60]
    assert [s.error for s in execution.score_all(drawn) if s.reward != 1] == []
    broken = [Answer(one.question, "def f(): return", 1, True) for one in drawn[:5]]
    assert {score.reward for score in execution.score_all(broken)} == {0}
