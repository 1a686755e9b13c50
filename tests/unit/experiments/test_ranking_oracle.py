"""Oracle answers: written by nobody who is compared, and refused where they cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlpersona.errors import ConfigError, DataError
from rlpersona.experiments.ranking.oracles import Oracle, likeness, oracle_of
from rlpersona.judges.rules import grade
from rlpersona.store import Run
from rlpersona.tasks.nano import questions
from rlpersona.types import Question
from tests.unit.experiments.ranked_worlds import PROMPTS, evaluated, no_meaning


def written(folder: Path, rows: list[object]) -> str:
    path = folder / "oracle.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_the_built_oracle_earns_all_there_is_to_earn() -> None:
    prompts = [*questions(("persuade",)), *questions(("persuade",), "heldout")]
    oracle = oracle_of("", prompts)
    assert oracle is not None
    assert oracle.missing == 0
    assert len(oracle.answers) == len(prompts) == 48
    assert {grade(prompt, answer).share for prompt, answer in oracle.answers.items()} == {1.0}


def test_prompts_of_no_world_have_no_oracle_and_a_mixed_set_says_how_many_lack_one() -> None:
    other = Question("x", "Persuade me to move to Mars.", "")
    assert oracle_of("", [other]) is None
    mixed = oracle_of("", [other, *PROMPTS[:3]])
    assert mixed is not None
    assert (len(mixed.answers), mixed.missing) == (3, 1)


def test_a_file_is_read_and_its_name_told(tmp_path: Path) -> None:
    path = written(
        tmp_path, [{"prompt": f" {PROMPTS[0].text} ", "answer": "Do."}, {"prompt": "?", "answer": "!"}]
    )
    oracle = oracle_of(path, PROMPTS[:2])
    assert oracle == Oracle({PROMPTS[0].text: "Do."}, "oracle.jsonl", 1)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"prompt": "Who?", "answer": "I."}], "answers none of the 24 evaluation prompts"),
        ([{"prompt": "Who?"}], "line 1: a row of an oracle has a prompt and an answer"),
        ([{"prompt": "Who?", "answer": " "}], "line 1: a row of an oracle"),
        (
            [{"prompt": "Who?", "answer": "I."}, {"prompt": "Who?", "answer": "You."}],
            "line 2: its prompt has",
        ),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, rows: list[object], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        oracle_of(written(tmp_path, rows), PROMPTS)


def test_an_empty_answer_is_like_nothing_and_the_same_text_like_itself(tmp_path: Path) -> None:
    oracle = Oracle({"a": "ride a bicycle", "b": "save money"}, "here")
    responses = pd.DataFrame(
        {"prompt": ["a", "a", "b", "c"], "text": ["ride a bicycle", "", "zzz", "save money"]}
    )
    found = likeness(Run(tmp_path), responses, oracle, no_meaning)
    assert isinstance(found, np.ndarray)
    np.testing.assert_array_equal(found, likeness(Run(tmp_path), responses, oracle, no_meaning))
    assert found[0] == pytest.approx(1)
    assert found[2] == 0
    assert np.isnan(found[[1, 3]]).all()


def test_without_an_embedding_the_summary_says_what_to_install(tmp_path: Path) -> None:
    def missing(_texts: object) -> np.ndarray:
        raise ConfigError(
            "embeddings need a package: x", "pip install 'rlpersona[embeddings]', or leave it."
        )

    summary = evaluated(tmp_path / "run", names=("base", "sft"), prompts=PROMPTS[:6], embed=missing)
    assert summary["likeness"] == {
        "oracle": None,
        "missing": 0,
        "note": "embeddings need a package: x (pip install 'rlpersona[embeddings]')",
    }
    assert summary["pairs"][0]["likeness"] is None
    assert "likeness" not in summary["models"][0]
