"""Runs beside each other: real searches in simulated worlds, and folders made by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlpersona.config import BanditConfig, ValidationConfig
from rlpersona.errors import ConfigError, RunError
from rlpersona.experiments.bandit.comparison import compare, difference, question_gains
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.stats import paired_difference
from tests.unit.experiments.worlds import World, lived, people, questions
from tests.unit.report.run_folders import make_run

ARMS = 40
GAINS = {persona.system: 0.2 - 0.01 * k for k, persona in enumerate(people(ARMS))}
FRESH = questions(150, "fresh")


def played(
    folder: Path, seed: int, gains: dict[str | None, float], search: str = "q", data: str = "same"
) -> Path:
    """A search that asks everybody about equally, on 200 questions of its own."""
    asked = questions(200, search)
    config = BanditConfig(
        seed=seed,
        algorithm="reinforce",
        params={"lr": 0.01},
        rounds=60,
        arms_per_round=40,
        questions_per_round=5,
        validation=ValidationConfig(questions=len(FRESH), winners=4, random=8, controls=()),
    )
    lived(folder, config, people(ARMS), (asked, FRESH), World(seed, [*asked, *FRESH], gains))
    (folder / "config.yaml").write_text("experiment: bandit\n")
    (folder / "provenance.json").write_text(json.dumps({"data": {"search": data}}))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("runs")
    return {
        "one": played(root / "one", 1, GAINS, "q", "q"),
        "two": played(root / "two", 2, GAINS, "r", "r"),
        "null": played(root / "null", 3, {}, "s", "s"),
    }


def test_runs_of_one_truth_agree_and_noise_does_not(folders: dict[str, Path]) -> None:
    result = compare([folders["one"], folders["two"], folders["null"]], top=8)
    same, apart, _ = result["pairs"]
    assert same["runs"] == ["one", "two"]
    assert same["means"]["spearman"]["low"] > 0.3
    assert same["means"]["ceiling"] > 0.5
    assert same["means"]["disattenuated"] > 0.75
    assert same["overlap"]["p"] < 0.05
    assert len(same["overlap"]["shared"]) > same["overlap"]["expected"]
    assert same["evaluated"] == ARMS
    low, high = (apart["means"]["spearman"][end] for end in ("low", "high"))
    assert low < 0.15
    assert high < 0.6
    assert apart["means"]["ceiling"] < same["means"]["ceiling"]


def test_gains_on_the_same_fresh_questions_are_paired(folders: dict[str, Path]) -> None:
    (found,) = compare([folders["one"], folders["null"]])["pairs"]
    assert found["gains"]
    assert all(gain["paired"] and gain["difference"]["n"] == len(FRESH) for gain in found["gains"])
    tables = [pd.read_parquet(folders[name] / "validation.parquet") for name in ("one", "null")]
    person = found["gains"][0]["persona"]
    ours, theirs = (question_gains(table)[person] for table in tables)
    by_hand = paired_difference(ours.to_numpy(), theirs.reindex(ours.index).to_numpy())
    assert found["gains"][0]["difference"]["estimate"] == pytest.approx(by_hand.difference.estimate)
    assert found["gains"][0]["p"] == pytest.approx(by_hand.p_value)
    assert all(gain["p_holm"] >= gain["p"] for gain in found["gains"])
    leaders = found["leaders"]
    summaries = [json.loads((folders[name] / "summary.json").read_text()) for name in ("one", "null")]
    assert leaders["personas"] == [summary["winners"][0]["persona"] for summary in summaries]
    assert leaders["first"] == pytest.approx(summaries[0]["winners"][0]["gain"]["estimate"])


def test_each_run_has_a_row_with_its_first_choice(folders: dict[str, Path]) -> None:
    result = compare([folders["one"], folders["two"]])
    summary = json.loads((folders["one"] / "summary.json").read_text())
    first = result["runs"][0]
    assert first["winner"] == summary["winners"][0]["persona"]
    assert first["gain"]["estimate"] == summary["winners"][0]["gain"]["estimate"]
    assert first["evaluations"] == summary["evaluations"]
    json.dumps(result)


def test_what_hinders_the_comparison_is_said(tmp_path: Path, folders: dict[str, Path]) -> None:
    (same,) = compare([folders["one"], played(tmp_path / "again", 9, {}, "q", "q")])["pairs"]
    assert any("shared luck" in note for note in same["notes"])
    other = make_run(tmp_path / "other", model="big", benchmark="arc", reward="probability")
    (found,) = compare([folders["one"], other])["pairs"]
    notes = " / ".join(found["notes"])
    for said in (
        "different models",
        "different benchmarks",
        "different rewards",
        "no persona in common",
    ):
        assert said in notes
    assert found["means"] is found["overlap"] is found["distribution"] is None
    assert found["gains"] == []
    assert found["leaders"]["paired"] is False


def test_settings_that_change_what_is_measured_are_said(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b")]
    assert not any("different" in note for note in compare(runs)["pairs"][0]["notes"])
    (runs[1] / "config.yaml").write_text(
        "mode: letters\nnormalise: tokens\nprefix: 'Speak as {name}.'\nmax_tokens: 16\n"
    )
    assert compare(runs)["pairs"][0]["notes"] == [
        "different ways to answer (mode): likelihood and letters",
        "different normalisations (normalise): none and tokens",
        "different system prompts (prefix): You are {name}. and Speak as {name}.",
        "different lengths of an answer (max_tokens): 256 and 16",
    ]


def test_the_same_answers_are_no_difference_to_test(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b")]
    table = pd.read_parquet(runs[1] / "validation.parquet")
    curie = table["persona"] == "Marie Curie"
    first = curie & (table["question"] == "q0")
    table.loc[first, "reward"] = 1 - table.loc[first, "reward"]
    # Of the other run a part only: the same answers are looked for on what both were asked.
    table[table["question"] != "q99"].to_parquet(runs[1] / "validation.parquet")
    (found,) = compare(runs)["pairs"]
    assert [gain["persona"] for gain in found["gains"]] == ["Marie Curie"]
    assert found["gains"][0]["p_holm"] == found["gains"][0]["p"]
    assert found["same"][:2] == ["Isaac Newton", "Ada Lovelace"]
    assert found["leaders"]["same"] is True
    # The same gains by other answers, of the control too, are a comparison.
    turned = table.assign(reward=1 - table["reward"])
    own = table["role"].isin(["control"]) | (table["persona"] == "Isaac Newton")
    both = own & (table["question"].isin(same_right(table)))
    table.assign(reward=turned["reward"].where(both, table["reward"])).to_parquet(
        runs[1] / "validation.parquet"
    )
    assert "Isaac Newton" not in compare(runs)["pairs"][0]["same"]


def same_right(table: pd.DataFrame) -> set[str]:
    """Questions on which Isaac Newton and no persona earned the same."""
    control = table[table["role"] == "control"].set_index("question")["reward"]
    newton = table[table["persona"] == "Isaac Newton"].set_index("question")["reward"]
    return set(control.index[control == newton])


def test_a_run_of_another_experiment_is_named(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "er")]
    (runs[1] / "config.yaml").write_text("experiment: temporal\n")
    (runs[1] / "summary.json").write_text('{"run": "er", "experiment": "temporal"}')
    with pytest.raises(RunError, match="'er' is no bandit run") as refused:
        compare(runs)
    assert refused.value.hint == "rlpersona show er"
    (runs[1] / "config.yaml").write_text("a: [torn")
    with pytest.raises(RunError, match=r"config\.yaml is broken"):
        compare(runs)


def test_a_run_without_events_is_compared_without_a_ceiling(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b")]
    (found,) = compare(runs)["pairs"]
    assert found["means"]["spearman"]["estimate"] == pytest.approx(1)
    assert found["means"]["ceiling"] is None
    assert found["distribution"]["total_variation"] == 0
    assert set(found["overlap"]["shared"][:3]) == {"Isaac Newton", "Marie Curie", "Ada Lovelace"}


def test_shrunk_means_are_compared_where_both_runs_have_them(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b")]
    for run, sign in zip(runs, (1, -1), strict=True):
        table = pd.read_parquet(run / "personas.parquet")
        table.assign(shrunk=sign * table["reward"]).to_parquet(run / "personas.parquet")
    assert compare(runs)["pairs"][0]["shrunk"]["spearman"]["estimate"] == pytest.approx(-1)
    table.drop(columns="shrunk", errors="ignore").to_parquet(runs[1] / "personas.parquet")
    assert compare(runs)["pairs"][0]["shrunk"] is None


def test_arms_nobody_told_apart_do_not_overlap_by_their_place(tmp_path: Path) -> None:
    names = [f"P{k}" for k in range(400)]
    runs = [make_run(tmp_path / name, names) for name in ("a", "b")]
    for run in runs:
        table = pd.read_parquet(run / "personas.parquet")
        table.assign(probability=1 / 400, reward=0.5).to_parquet(run / "personas.parquet")
    (found,) = compare(runs, top=40)["pairs"]
    assert len(found["overlap"]["shared"]) < 15
    assert found["means"] is None


def test_other_benchmarks_and_controls_stay_out_of_the_gains() -> None:
    rows = [
        ("main", NO_PERSONA.name, "control", "q1", 0.0),
        ("main", NO_PERSONA.name, "control", "q2", 1.0),
        ("main", "Ada", "winner", "q1", 1.0),
        ("main", "Ada", "winner", "q2", np.nan),
        ("main", "Ada", "random", "q1", 1.0),
        ("main", "Zed", "nonsense", "q1", 1.0),
        ("arc", "Ada", "winner", "q9", 1.0),
    ]
    table = pd.DataFrame(rows, columns=["benchmark", "persona", "role", "question", "reward"])
    found = question_gains(table)
    assert list(found.columns) == ["Ada"]
    assert found["Ada"].dropna().to_dict() == {"q1": 1.0}
    assert question_gains(table[table["role"] != "control"]).empty


def test_differences_are_paired_only_where_most_questions_are_shared() -> None:
    ours = pd.Series(np.tile([1.0, 0, 0, 1], 5), index=[f"q{k}" for k in range(20)])
    mostly = pd.Series(np.tile([0.0, 0, 1, 1], 5), index=[f"q{k}" for k in range(6, 26)])
    found = difference(ours, mostly, 0.95)
    assert found is not None
    assert found["paired"]
    assert found["difference"]["n"] == 14
    hardly = mostly.rename(lambda name: f"q{int(name[1:]) + 12}")
    unpaired = difference(ours, hardly, 0.95)
    assert unpaired is not None
    assert not unpaired["paired"]
    assert unpaired["difference"]["n"] == 40
    assert difference(ours[:1], mostly, 0.95) is None


@pytest.mark.parametrize("which", [[], ["a"], ["a", "a"]])
def test_one_run_compares_with_nothing(which: list[str], tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    with pytest.raises(ConfigError):
        compare([tmp_path / name for name in which])


def test_what_cannot_be_compared_is_the_users_to_mend(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name) for name in ("a", "b")]
    wrong: list[dict[str, Any]] = [{"top": 0}, {"level": 1.0}]
    for change in wrong:
        with pytest.raises(ConfigError):
            compare(runs, **change)
    (runs[0] / "events.parquet").write_bytes(b"torn")
    with pytest.raises(RunError, match="events of a"):
        compare(runs)
    (runs[0] / "events.parquet").unlink()
    (runs[1] / "summary.json").unlink()
    with pytest.raises(RunError, match=r"b has no summary\.json"):
        compare(runs)
