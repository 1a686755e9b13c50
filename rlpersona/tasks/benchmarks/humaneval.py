"""HumanEval: Python functions to be completed (Chen et al. 2021, 2107.03374)."""

from __future__ import annotations

from rlpersona.tasks.benchmark import Benchmark, clean_text, open_question, text_of, value_of
from rlpersona.tasks.files import Row
from rlpersona.types import Question


def parse(row: Row, seed: int) -> Question:
    """`prompt` (signature and docstring), `canonical_solution`, `test` (defines `check`), `entry_point`.

    The gold is the whole reference program. `meta` holds `task_id`, `prompt`, `entry_point`, and the
    tests: one program that calls `check`.
    """
    prompt = value_of(row, "prompt")
    clean_text(prompt, "column 'prompt'")
    solution, name = value_of(row, "canonical_solution"), text_of(row, "entry_point")
    clean_text(solution, "column 'canonical_solution'")
    return open_question(
        "humaneval",
        f"Complete this Python function:\n\n{prompt.strip()}",
        f"{prompt}{solution}".strip(),
        domain="test",
        meta={
            "task_id": text_of(row, "task_id"),
            "prompt": prompt,
            "entry_point": name,
            "tests": (f"{text_of(row, 'test')}\n\ncheck({name})",),
            "setup": "",
        },
    )


BENCHMARK = Benchmark("humaneval", "openai/openai_humaneval:test", parse)
