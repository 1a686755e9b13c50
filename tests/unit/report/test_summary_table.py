"""The table in the terminal after a run."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rlpersona.errors import RunError
from rlpersona.report.records import Summary
from rlpersona.report.table import print_summary
from rlpersona.report.words import equivalence
from tests.unit.report.run_folders import interval, make_full_run, make_run, winner

LONG = "Her Serene Highness the Margravine " * 3 + "Z" * 90


class Utf8(io.StringIO):
    encoding = "utf-8"


def summary_of(folder: Path, **changes: Any) -> dict[str, Any]:
    return json.loads((make_run(folder) / "summary.json").read_text()) | changes


def printed(summary: dict[str, Any], report: Path | None = None) -> str:
    out = Utf8()
    print_summary(summary, out, report)
    return out.getvalue()


@pytest.fixture(autouse=True)
def _utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")


def test_rows_hold_the_numbers(tmp_path: Path) -> None:
    text = printed(summary_of(tmp_path / "run"), tmp_path / "run" / "report.html")
    rows = {line.split("  ")[1]: " ".join(line.split()) for line in text.splitlines() if " % [" in line}
    assert rows["Isaac Newton (scholar, physics)"].endswith(
        "69.0 % [65.0, 73.0] +17.0 pp [+12.5, +21.5] 0.001 81.0 % 400"
    )
    assert rows["no persona"].endswith("no persona 52.0 % [48.0, 56.0] 400")
    assert rows["random personas"].endswith("53.0 % [50.0, 56.0] +1.0 pp [-1.0, +3.0] 0.330* 400")
    assert "Isaac Newton answers better than no persona." in text
    assert text.splitlines()[-1] == f"Report: {tmp_path / 'run' / 'report.html'}"
    assert "\x1b" not in text


def test_the_nested_random_gain_is_read(tmp_path: Path) -> None:
    nested = {"gain": interval(0.02, 0.01), "p": 0.04, "wins": 1, "losses": 0, "ties": 2}
    assert "+2.0 pp [+1.0, +3.0]" in printed(summary_of(tmp_path / "run", random_gain=nested))
    empty = nested | {"gain": None, "p": None}
    assert "+2.0 pp" not in printed(summary_of(tmp_path / "run2", random_gain=empty))


def test_prefixes_that_name_nobody_and_remarks(tmp_path: Path) -> None:
    text = printed(json.loads((make_full_run(tmp_path / "run") / "summary.json").read_text()))
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "empty name 52.5 % [48.5, 56.5] +0.5 pp [-3.5, +4.5] 0.600* 400" in rows
    # The mean of the names where the pooled share was not kept: (54 + 52) / 2.
    assert "nonsense names 53.0 % +1.0 pp [-3.0, +5.0] 0.410* 400" in rows
    assert "Isaac Newton over nonsense names: +15.0 pp [+11.0, +19.0], p (Holm) 0.004." in rows
    best = "the most is gained by Isaac Newton: +7.0 pp [-1.0, +15.0], p (Holm) 0.090."
    assert f"On gsm8k, 100 questions, {best}" in rows
    assert any(row.endswith("Ada Lovelace (1 of 3 winners).") for row in rows)


def test_where_nobody_gains_elsewhere_nobody_is_named(tmp_path: Path) -> None:
    content = json.loads((make_full_run(tmp_path / "run") / "summary.json").read_text())
    content["transfer"][0]["winners"] = content["transfer"][0]["winners"][1:]  # 0.0 and -2.0 points
    text = printed(content)
    assert "On hellaswag, 100 questions, nobody gains on no persona." in text
    assert "On gsm8k, 100 questions, the most is gained by Isaac Newton" in text


@pytest.mark.parametrize(
    ("half", "most", "when"),
    [
        (26, 60, "scholar holds half of it from round 26 on, 90 % from round 60 on."),
        (26, None, "scholar holds half of it from round 26 on, 90 % never to the end."),
        (None, None, "No group holds half of it."),
    ],
)
def test_where_the_policy_went(tmp_path: Path, half: int | None, most: int | None, when: str) -> None:
    groups = [{"group": "scholar", "pool": 0.2, "final": 0.9, "half": half, "most": most}]
    groups += [{"group": f"g{k}", "pool": 0.2, "final": 0.025} for k in range(4)]
    lines = [
        line.rstrip() for line in printed(summary_of(tmp_path / "run", convergence=groups)).split("\n")
    ]
    assert when in lines
    shares = "g0 2.5 % (of the pool 20.0 %), g1 2.5 % (of the pool 20.0 %), 2 more."
    place = lines.index(when) - 2
    told = " ".join(lines[place : place + 2])
    assert told == f"The policy's probability: scholar 90.0 % (of the pool 20.0 %), {shares}"


@pytest.mark.parametrize("reward", ["accuracy", "probability", "judged"])
def test_the_measure_of_training_is_in_its_heading(tmp_path: Path, reward: str) -> None:
    text = printed(summary_of(tmp_path / "run", reward=reward)).partition("Isaac Newton")[0]
    named = {kind for kind in ("accuracy", "probability", "judged") if f"({kind})" in text}
    assert named == ({reward} - {"accuracy"})
    assert "in training" in text


def uncontrolled(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """A summary without the no-persona control."""
    content = json.loads((make_full_run(tmp_path / "run") / "summary.json").read_text())
    for one in (*content["winners"], *content["baselines"]):
        one.update(dict.fromkeys(("gain", "p", "p_holm", "equivalence")))
    nothing = dict.fromkeys(("control", "random_gain", "nonsense_gain"))
    return content | nothing | {"transfer": [], "significant": False} | changes


def test_without_no_persona_gains_are_over_nonsense_names(tmp_path: Path) -> None:
    text = printed(uncontrolled(tmp_path))
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "gain over nonsense names" in text
    assert (
        "Isaac Newton (scholar, physics) 69.0 % [65.0, 73.0] +15.0 pp [+11.0, +19.0] 0.004 81.0 % 400"
        in rows
    )
    assert "random personas 53.0 % [50.0, 56.0] 400" in rows
    assert "not measured" not in text
    assert "no persona" not in text.split("Intervals")[0]


def test_without_anything_to_gain_on_there_is_no_column_of_gains(tmp_path: Path) -> None:
    content = uncontrolled(tmp_path, baselines=[], nonsense=None)
    for one in content["winners"]:
        one["over_nonsense"] = None
    text = printed(content)
    assert "gain over" not in text
    assert "p (Holm)" not in text
    assert "not measured" not in text


def test_answers_no_better_than_guesses_are_said_to_be_none(tmp_path: Path) -> None:
    low = [winner(name, -0.3) for name in "AB"]  # 22.0 % [18.0, 26.0]
    guessed = {"winners": low, "control": interval(0.18), "random": interval(0.25)}
    sentence = "Nobody is shown to answer better than by guessing (25.0 %)"
    assert sentence in printed(summary_of(tmp_path / "a", chance=0.25, **guessed))
    assert sentence not in printed(summary_of(tmp_path / "b", chance=None, **guessed))
    # One of them above chance is enough, the control included.
    knowing = guessed | {"control": interval(0.30)}
    assert sentence not in printed(summary_of(tmp_path / "c", chance=0.25, **knowing))


@pytest.mark.parametrize(
    ("alike", "significant", "sentence"),
    [
        ((True, True), False, "Every winner is shown to lie within 2.5 pp of no persona"),
        ((True, None), False, "Every winner is shown to lie within"),
        ((False, True), False, "(two one-sided tests): B (1 of 2 winners)."),
        ((False, False), False, "neither shown nor ruled out."),
        ((False, False), True, None),
        ((None, None), False, None),
    ],
)
def test_equivalence_in_a_sentence(
    tmp_path: Path, alike: tuple[bool | None, ...], significant: bool, sentence: str | None
) -> None:
    winners = [
        winner(name, 0.0, equivalence=None if one is None else {"margin": 0.025, "equivalent": one})
        for name, one in zip("AB", alike, strict=True)
    ]
    content = summary_of(tmp_path / "run", winners=winners, margin=0.025, significant=significant)
    found = equivalence(Summary.model_validate(content))
    assert found is None if sentence is None else sentence in str(found)


def test_nothing_measured_is_said_and_never_zero(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("control", "random", "random_gain", "unscored_share", "significant"))
    run = make_run(tmp_path / "run", winners=[winner("A", None, None)], verdict="Nothing.", **nothing)
    text = printed(json.loads((run / "summary.json").read_text()))
    assert text.count("not measured") >= 6
    assert "0.0" not in text


def test_names_are_folded_not_cut_and_inert(tmp_path: Path) -> None:
    winners = [winner(LONG, 0.1), winner("[red]x[/red]\x1b[2J", 0.1)]
    text = printed(summary_of(tmp_path / "run", winners=winners))
    column = "".join(line[2:44].split("  ")[0] for line in text.splitlines())
    assert "".join(LONG.split()) in "".join(column.split())
    assert "[red]x[/red]" in text
    assert "\x1b" not in text


def test_c_locale_gets_ascii(tmp_path: Path) -> None:
    summary = summary_of(tmp_path / "run", winners=[winner("José 紫", 0.1)], verdict="José wins – 紫")
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(summary))
    code = (
        "import json, sys; from rlpersona.report.table import print_summary;"
        "print_summary(json.load(open(sys.argv[1])))"
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=clean | {"LANG": "C"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()
    assert rb"Jose \u7d2b" in done.stdout


def test_a_broken_summary_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="verdict"):
        printed(summary_of(tmp_path / "run", verdict=None))
