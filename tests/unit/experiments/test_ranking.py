"""The comparison of models, held against planted models: who wins is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rlpersona.config import ModelConfig
from rlpersona.errors import DataError, ModelError
from rlpersona.experiments.ranking.comparing import compare_models
from rlpersona.experiments.ranking.pairs import describe_pairs
from rlpersona.experiments.ranking.ranking import PARTIAL
from rlpersona.experiments.ranking.responses import LazyModel, collect_responses
from rlpersona.experiments.ranking.verdict import model_names, power_lines
from rlpersona.judges.base import Pair, Side, Verdict
from rlpersona.judges.rules import RuleJudge
from rlpersona.store import SUMMARY, Run
from tests.unit.experiments.ranked_worlds import (
    PROMPTS,
    TRAITS,
    FailingJudge,
    PlantedModel,
    config_of,
    evaluated,
    planted_run,
)

Record = dict[str, Any]
TWO = ("base", "sft")


@pytest.fixture(scope="module")
def ranked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    folder = tmp_path_factory.mktemp("runs") / "planted"
    return folder, evaluated(folder, PlantedModel(cut={"base": 0.2}))


def pair(summary: Record, first: str, second: str) -> Record:
    found = [one for one in summary["pairs"] if (one["first"], one["second"]) == (first, second)]
    assert len(found) == 1
    return found[0]


def record(summary: Record, name: str) -> Record:
    return next(one for one in summary["models"] if one["name"] == name)


def test_the_planted_order_is_found_and_its_size_is_said(ranked: tuple[Path, Record]) -> None:
    summary = ranked[1]
    strengths = {name: value["estimate"] for name, value in summary["strengths"]["strengths"].items()}
    assert sorted(strengths, key=lambda name: strengths[name])[2:] == [
        "sft", "sft-rlaif", "sft-rlaif-rlhf",
    ]  # fmt: skip
    win = pair(summary, "sft", "base")["win"]
    assert win["low"] > 0.5
    assert win["p_holm"] < 0.01
    # The scientist argues by evidence and hedges it away: no better than the base, and so it is said.
    assert pair(summary, "sft-rlhf", "base")["win"]["p_holm"] > 0.05
    assert "sft-rlhf is not shown to differ from base" in summary["verdict"]
    assert "sft, sft-rlaif and sft-rlaif-rlhf beat base" in summary["verdict"]
    assert record(summary, "sft-rlaif-rlhf")["rank"]["estimate"] < 2


def test_numbers_follow_from_the_tables_by_a_second_way(ranked: tuple[Path, Record]) -> None:
    folder, summary = ranked
    table = pd.read_parquet(folder / "comparisons.parquet")
    rows = table[(table["a"] == "base") & (table["b"] == "sft")]
    scores = rows["winner"].map({"a": 0.0, "b": 1.0, "tie": 0.5})
    by_prompt = scores.groupby(rows["question"]).mean()
    win = pair(summary, "sft", "base")["win"]
    assert win["estimate"] == pytest.approx(by_prompt.mean())
    low, high = stats.t.interval(0.95, len(by_prompt) - 1, by_prompt.mean(), stats.sem(by_prompt))
    assert (win["low"], win["high"]) == pytest.approx((low, high))

    ranks = pd.read_parquet(folder / "ranks.parquet")
    responses = pd.read_parquet(folder / "responses.parquet")
    for place, answers in list(responses.groupby(["question", "sample"]))[:20]:
        ours = ranks[(ranks["question"] == place[0]) & (ranks["sample"] == place[1])]
        by_points = RuleJudge().rank(answers["prompt"].iloc[0], list(answers["text"]))
        by_model = dict(zip(answers["model"], by_points, strict=True))
        assert dict(zip(ours["model"], ours["rank"], strict=True)) == by_model


def test_stopping_is_counted_by_model_and_tested(ranked: tuple[Path, Record]) -> None:
    folder, summary = ranked
    responses = pd.read_parquet(folder / "responses.parquet")
    ended = (responses["finish"] == "stop").groupby(responses["model"]).mean()
    for name in TRAITS:
        assert record(summary, name)["stop"]["estimate"] == pytest.approx(ended[name])
    assert 0.6 < ended["base"] < 0.95
    stop = pair(summary, "sft", "base")["stop"]
    assert stop["only_second"] == 0
    assert stop["only_first"] + stop["both"] == 96
    assert stop["p_holm"] < 0.01
    assert pair(summary, "sft-rlhf", "sft")["stop"]["p"] == 1
    words = responses["text"].str.split().str.len()
    assert (responses["tokens"] == words + (responses["finish"] == "length")).all()


def test_equal_models_are_told_apart_no_more_often_than_chance_allows(tmp_path: Path) -> None:
    traits = dict.fromkeys(TRAITS, TRAITS["base"])
    model = PlantedModel(traits)
    p_values, inside = [], 0
    for seed in range(40):
        run, models = planted_run(tmp_path / str(seed), TWO)
        found = comparisons_of(run, models, model, seed)
        win = describe_pairs(*found, None, 0.95, 0)[0]["win"]
        p_values.append(win["p"])
        inside += win["low"] <= 0.5 <= win["high"]
    assert sum(p < 0.05 for p in p_values) <= 5  # more than 5 of 40: chance .014
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert inside >= 35


def comparisons_of(
    run: Run, models: Record, model: PlantedModel, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    responses = collect_responses(config_of(seed=seed), run, models, PROMPTS, model)
    return responses, compare_models(run, responses, list(models), RuleJudge())


def test_a_failed_verdict_is_no_tie_and_is_asked_again(tmp_path: Path) -> None:
    whole = evaluated(tmp_path / "whole", names=TWO)
    judge = FailingJudge(fails=range(0, 12))
    first = evaluated(tmp_path / "run", judge=judge, names=TWO)
    (one,) = first["pairs"]
    assert first["unscored"] == one["unscored"] == 12
    assert first["errors"] == {"cut off": 12}
    assert one["wins"] + one["losses"] + one["ties"] == 96 - 12
    assert one["without"] == 3  # three prompts, of four samples each, have no verdict at all
    assert one["win"]["n"] == 21
    assert record(first, "sft")["unranked"] == 12
    table = pd.read_parquet(tmp_path / "run" / "comparisons.parquet")
    assert table["winner"].isna().sum() == 12

    asked = judge.asked
    again = evaluated(tmp_path / "run", judge=judge, names=TWO)
    assert judge.asked - asked == 12
    assert again["unscored"] == 0
    assert again["pairs"] == whole["pairs"]


def test_a_model_that_was_not_trained_is_named_and_the_run_stays_unfinished(tmp_path: Path) -> None:
    summary = evaluated(tmp_path / "run", names=("base", "sft", "sft-rlhf"))
    assert summary["missing"] == ["sft-rlaif", "sft-rlaif-rlhf"]
    assert summary["verdict"].endswith("Not evaluated: sft-rlaif, sft-rlaif-rlhf.")
    assert [one["name"] for one in summary["models"]] == ["base", "sft", "sft-rlhf"]
    assert not (tmp_path / "run" / SUMMARY).exists()
    assert (tmp_path / "run" / PARTIAL).exists()


def test_what_is_there_is_not_asked_again_and_what_changed_is(tmp_path: Path) -> None:
    model = PlantedModel()
    first = evaluated(tmp_path / "run", model, names=TWO)
    assert model.calls == 2 * 24 * 4
    assert evaluated(tmp_path / "run", model, names=TWO) == first
    assert model.calls == 2 * 24 * 4
    served = tmp_path / "run" / "served" / "sft"
    (served / "adapter_model.safetensors").write_bytes(b"trained again")
    models = {"base": None, "sft": str(served)}
    comparisons_of(Run(tmp_path / "run"), models, model, 0)
    assert model.calls == 3 * 24 * 4
    evaluated(tmp_path / "run", model, names=TWO, evaluation={"samples": 5})
    assert model.calls == 3 * 24 * 4 + 2 * 24 * 5


@dataclass
class Cut(PlantedModel):
    """Stops in the middle of its work, once."""

    left: int = 1

    def generate(self, *given: Any) -> Any:
        if not self.left:
            self.left = 99
            raise InterruptedError
        self.left -= 1
        return super().generate(*given)


def test_an_interrupted_evaluation_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    whole = evaluated(tmp_path / "whole", names=TWO)
    model = Cut()
    with pytest.raises(InterruptedError):
        evaluated(tmp_path / "run", model, names=TWO)
    again = evaluated(tmp_path / "run", model, names=TWO)
    assert model.calls == 2 * 24 * 4
    assert again | {"run": ""} == whole | {"run": ""}
    for name in ("responses.parquet", "comparisons.parquet", "ranks.parquet"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@dataclass
class FirstPlace:
    """Sides with whatever stands first on every third prompt, else with the rules."""

    name: str = "first-place"

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        ruled = RuleJudge().compare(pairs)
        prompts = list(dict.fromkeys(one.question for one in pairs))
        found = []
        for one, verdict in zip(pairs, ruled, strict=True):
            swayed = prompts.index(one.question) % 3 == 0
            sides = [
                Side("AB", "a" if swayed else verdict.winner),
                Side("BA", "b" if swayed else verdict.winner),
            ]
            found.append(Verdict.of(sides))
        return found


def test_a_judge_that_sides_with_the_first_place_is_found_out(tmp_path: Path) -> None:
    summary = evaluated(tmp_path / "run", judge=FirstPlace(), names=TWO)
    place = summary["place"]
    assert (place["first"], place["second"]) == (8, 0)
    assert place["p_value"] == pytest.approx(2 / 2**8)
    assert place["consistent"] == 64
    assert pair(summary, "sft", "base")["ties"] >= 32
    assert summary["adjusted"]["covariates"]["order"]["low"] > 0
    assert "order" not in evaluated(tmp_path / "rules", names=TWO)["adjusted"]["covariates"]


def test_a_whole_model_is_loaded_when_the_base_has_made_room(tmp_path: Path) -> None:
    run, models = planted_run(tmp_path / "run", ("base", "sft"))
    folder = tmp_path / "whole"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"all weights")
    open_now: list[str] = []

    class Held(PlantedModel):
        def close(self) -> None:
            open_now.pop()

    def load(config: ModelConfig) -> Held:
        assert not open_now, "two models at once"
        open_now.append(config.name)
        return Held()

    base = LazyModel(lambda: load(config_of().model))
    wanted = {"whole": str(folder), **models}
    found = collect_responses(config_of(), run, wanted, PROMPTS, base, load)
    assert list(dict.fromkeys(found["model"])) == ["whole", "base", "sft"]
    assert open_now == []
    with pytest.raises(ModelError, match="is a whole model"):
        collect_responses(config_of(seed=5), run, wanted, PROMPTS, PlantedModel())


def test_greedy_answers_are_drawn_once(tmp_path: Path) -> None:
    summary = evaluated(tmp_path / "run", names=TWO, evaluation={"temperature": 0})
    assert summary["samples"] == 1
    assert record(summary, "base")["answers"] == 24
    assert record(summary, "base")["distinct"] is None
    assert pair(summary, "sft", "base")["stop"]["test"] == "exact"


def test_too_little_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 models"):
        evaluated(tmp_path / "one", names=("base",))
    with pytest.raises(DataError, match="1 prompts"):
        evaluated(tmp_path / "two", names=TWO, prompts=[PROMPTS[0], PROMPTS[0]])


def test_an_adapter_without_weights_is_refused_with_the_fix(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    planted_run(folder, TWO)
    (folder / "served" / "sft" / "adapter_model.safetensors").unlink()
    run, models = Run(folder), {"base": None, "sft": str(folder / "served" / "sft")}
    with pytest.raises(ModelError, match="holds no weights"):
        comparisons_of(run, models, PlantedModel(), 0)


def test_models_come_parents_first_and_the_power_is_said_before() -> None:
    assert model_names(config_of()) == ["base", "sft", "sft-rlhf", "sft-rlaif", "sft-rlaif-rlhf"]
    lines = " ".join(power_lines(config_of(), 115))
    assert "115 evaluation prompts, 10 pairs of 5 models" in lines
    assert "A true win rate of 0.64 is found with chance 0.84" in lines
    assert "true win rate of 0.63 is found with chance 0.8" in lines
    assert "no size is found" in power_lines(config_of(), 5)[0]


def test_examples_show_the_outcome_they_are_listed_under(ranked: tuple[Path, Record]) -> None:
    folder, summary = ranked
    table = pd.read_parquet(folder / "comparisons.parquet")
    assert {(one["model"], one["kind"]) for one in summary["examples"]} >= {
        ("sft", "best"), ("sft", "worst"),
    }  # fmt: skip
    for one in summary["examples"]:
        rows = table[(table["b"] == one["model"]) & (table["a"] == "base")]
        here = rows[(rows["prompt"] == one["prompt"]) & (rows["sample"] == one["sample"])].iloc[0]
        assert one["answer"] == here["text_b"]
        assert one["won"] == {"a": 0.0, "tie": 0.5, "b": 1.0}[here["winner"]]
        shares = rows["winner"].map({"a": 0.0, "tie": 0.5, "b": 1.0}).groupby(rows["prompt"]).mean()
        assert one["share"] == pytest.approx(shares[one["prompt"]])
        best = one["kind"] == "best"
        assert one["share"] == pytest.approx(shares.max() if best else shares.min())
        assert one["won"] >= one["share"] if best else one["won"] <= one["share"]


def test_likeness_is_measured_where_there_is_an_oracle(ranked: tuple[Path, Record]) -> None:
    folder, summary = ranked
    responses = pd.read_parquet(folder / "responses.parquet")
    means = responses.groupby(["model", "question"])["likeness"].mean().groupby("model").mean()
    assert record(summary, "sft")["likeness"]["estimate"] == pytest.approx(means["sft"])
    assert summary["likeness"]["oracle"] == "built from the tables of the nano world"
    both = means["sft-rlaif"] - means["base"]
    assert pair(summary, "sft-rlaif", "base")["likeness"]["estimate"] == pytest.approx(both)
    assert np.isfinite(responses["likeness"]).all()
