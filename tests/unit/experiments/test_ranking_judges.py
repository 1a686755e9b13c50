"""A model as the judge: the same rules, read from the very prompts that a model would get."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from rlpersona.judges.asking import JudgeModel
from rlpersona.judges.pairwise import ApiJudge
from rlpersona.judges.rules import RuleJudge
from tests.unit.experiments.ranked_worlds import PROMPTS, evaluated
from tests.unit.judges.replying import Answer, Replying

THREE = ("base", "sft", "sft-rlaif")
MODEL = JudgeModel("openai", "referee")


def by_rules(blocks: dict[str, str]) -> Answer:
    """What the rules say, as JSON: a winner of two, a ranking of more."""
    question = blocks.pop("QUESTION")
    ranks = RuleJudge().rank(question, list(blocks.values()))
    letters = [label[-1] for label in blocks]
    order = sorted(letters, key=lambda letter: ranks[letters.index(letter)])
    if len(letters) > 2:
        return json.dumps({"ranking": order})
    return json.dumps({"winner": "tie" if ranks[0] == ranks[1] else order[0]})


def test_a_judge_behind_an_api_that_reads_as_the_rules_ends_as_the_rules(tmp_path: Path) -> None:
    asked = Replying(by_rules)
    judge = ApiJudge(MODEL, asked)
    summary = evaluated(tmp_path / "api", judge=judge, names=THREE, prompts=PROMPTS[:10])
    ruled = evaluated(tmp_path / "rules", names=THREE, prompts=PROMPTS[:10])
    assert summary["pairs"] == ruled["pairs"]
    assert summary["strengths"] == ruled["strengths"]
    assert summary["place"]["consistent"] == summary["place"]["pairs"]
    assert summary["place"]["first"] == summary["place"]["second"] == 0
    assert summary["judged_as"][1] is True
    comparisons = pd.read_parquet(tmp_path / "api" / "comparisons.parquet")
    different = int((comparisons["text_a"] != comparisons["text_b"]).sum())
    assert len(asked.calls) == 2 * different
    before = len(asked.calls)
    evaluated(tmp_path / "api", judge=judge, names=THREE, prompts=PROMPTS[:10])
    assert len(asked.calls) == before


def test_a_list_is_ranked_in_seeded_orders_and_a_failed_round_ranks_nobody(tmp_path: Path) -> None:
    def broken_for_the_first(blocks: dict[str, str]) -> Answer:
        if len(blocks) > 3 and blocks["QUESTION"] == PROMPTS[0].text:
            return ("length", "")
        return by_rules(blocks)

    judge = ApiJudge(MODEL, Replying(broken_for_the_first))
    listwise = {"evaluation": {"listwise": 2}, "names": THREE, "prompts": PROMPTS[:10]}
    summary = evaluated(tmp_path / "api", judge=judge, **listwise)
    ranks = pd.read_parquet(tmp_path / "api" / "ranks.parquet")
    first = ranks["prompt"] == PROMPTS[0].text
    assert ranks[first]["rank"].isna().all()
    assert set(ranks[first]["error"]) == {"cutoff"}
    assert ranks[~first]["rank"].notna().all()
    assert [one["unranked"] for one in summary["models"]] == [4, 4, 4]
    assert [one["rank"]["n"] for one in summary["models"]] == [9, 9, 9]
    sums = ranks[~first].groupby(["question", "sample"])["rank"].sum()
    assert sums.tolist() == pytest.approx([6.0] * 36)
    means = {one["name"]: one["rank"]["estimate"] for one in summary["models"]}
    assert means["sft-rlaif"] < means["sft"] < means["base"]


def test_in_one_order_either_model_is_first_as_often_and_the_place_is_told_apart(tmp_path: Path) -> None:
    asked = Replying(by_rules)
    judge = ApiJudge(MODEL, asked, both_orders=False)
    summary = evaluated(tmp_path / "run", judge=judge, names=THREE)
    ruled = evaluated(tmp_path / "rules", names=THREE)
    assert summary["pairs"] == ruled["pairs"]
    assert summary["place"] is None
    table = pd.read_parquet(tmp_path / "run" / "comparisons.parquet")
    assert 0.4 < table["ba"].notna().mean() < 0.6
    assert (table["ab"].notna() ^ table["ba"].notna() ^ (table["text_a"] == table["text_b"])).all()

    swayed = ApiJudge(MODEL, Replying(lambda _: json.dumps({"winner": "A"})), both_orders=False)
    biased = evaluated(tmp_path / "swayed", judge=swayed, names=THREE)
    assert all(one["win"]["low"] < 0.5 < one["win"]["high"] for one in biased["pairs"])
