"""The judge beside people: agreement is what it is, and only where people have labelled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rlpersona.config import LabelConfig
from rlpersona.errors import RunError
from rlpersona.experiments.labelling.pairing import prepare
from rlpersona.judges.base import Pair
from rlpersona.judges.rules import RuleJudge
from rlpersona.store import Run
from tests.unit.experiments.ranked_worlds import PROMPTS, FailingJudge, evaluated

ANSWERS = (
    "You should {}. Studies show that it works. The numbers are clear.",
    "You should {}. Feel the magic today!",
)


def labelled_run(root: Path, name: str, people: dict[str, list[str]]) -> Run:
    """A `rlpersona label` run of pairs from a file, with the choices of each annotator."""
    rows = []
    for k, question in enumerate(PROMPTS):
        texts = [text.format(question.meta["subject"]) for text in ANSWERS]
        a, b = texts if k % 2 else texts[::-1]
        for annotator, choices in people.items():
            rows.append(
                {"prompt": question.text, "a": a, "b": b, "choice": choices[k], "annotator": annotator}
            )
    file = root / f"{name}.jsonl"
    root.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return prepare(LabelConfig(name=name, pairs=str(file)), root)


def by_rule() -> list[str]:
    said = []
    for k, question in enumerate(PROMPTS):
        texts = [text.format(question.meta["subject"]) for text in ANSWERS]
        a, b = texts if k % 2 else texts[::-1]
        said.append(str(RuleJudge().compare([Pair(question.text, a, b)])[0].winner))
    return said


def people_of(root: Path, **changes: Any) -> list[dict[str, Any]]:
    summary = evaluated(
        root / "run",
        names=("base", "sft"),
        prompts=PROMPTS[:4],
        evaluation={"labels": ("mine",)},
        **changes,
    )
    found: list[dict[str, Any]] = summary["people"]
    return found


def test_people_who_say_what_the_rules_say_agree_with_them_wholly(tmp_path: Path) -> None:
    labelled_run(tmp_path, "mine", {"ann": by_rule()})
    (one,) = people_of(tmp_path)
    assert one["people"] == ["ann"]
    assert one["pairs"] == 24
    assert one["same"]["estimate"] == 1
    assert one["kappa"]["estimate"] == 1
    assert one["among"] is None


def test_the_majority_counts_and_people_are_compared_with_each_other(tmp_path: Path) -> None:
    wrong = ["b" if choice == "a" else "a" for choice in by_rule()]
    labelled_run(tmp_path, "mine", {"ann": by_rule(), "bob": by_rule(), "cay": wrong})
    (one,) = people_of(tmp_path)
    assert one["kappa"]["estimate"] == 1
    assert one["among"]["ann, bob"]["estimate"] == 1
    assert one["among"]["ann, cay"]["estimate"] == pytest.approx(-1)


def test_ties_failures_and_machines_are_no_votes(tmp_path: Path) -> None:
    half = [choice if k < 12 else "tie" for k, choice in enumerate(by_rule())]
    labelled_run(tmp_path, "mine", {"ann": half, "ai-rules": by_rule()})
    judge = FailingJudge(fails=range(16, 19))  # after the 16 comparisons of the models themselves
    (one,) = people_of(tmp_path, judge=judge)
    assert one["people"] == ["ann"]
    assert one["failed"] == 3
    assert one["same"]["estimate"] == pytest.approx(9 / 21)


def test_without_people_there_is_nothing_and_an_unknown_run_is_refused(tmp_path: Path) -> None:
    labelled_run(tmp_path, "mine", {"ai-rules": by_rule()})
    assert people_of(tmp_path) == []
    with pytest.raises(RunError, match="no run 'mine'"):
        people_of(tmp_path / "elsewhere")
