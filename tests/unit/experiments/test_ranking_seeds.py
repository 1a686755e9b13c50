"""Several seeds of one experiment: the run is the unit, and unlike runs are not mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from rlpersona.errors import ConfigError
from rlpersona.experiments.ranking.seeds import combine, refuse_unlike
from tests.unit.experiments.ranked_worlds import PROMPTS, config_of, evaluated

Record = dict[str, Any]


def summary_of(seed: int, rates: dict[tuple[str, str], float | None]) -> Record:
    """A summary that holds nothing but win rates."""
    names = list(dict.fromkeys(name for pair in rates for name in reversed(pair)))
    return {
        "run": f"seed-{seed}",
        "seed": seed,
        "judge": "rules",
        "models": [{"name": name, "stop": None, "tokens": {"estimate": 20.0 + seed}} for name in names],
        "pairs": [
            {"first": first, "second": second, "win": None if rate is None else {"estimate": rate}}
            for (first, second), rate in rates.items()
        ],
    }


def test_intervals_and_tests_are_students_over_runs() -> None:
    rates = [0.61, 0.72, 0.55, 0.68]
    found = combine([summary_of(k, {("sft", "base"): rate}) for k, rate in enumerate(rates)], 0.95)
    win = found["pairs"][0]["win"]
    low, high = stats.t.interval(0.95, 3, np.mean(rates), stats.sem(rates))
    assert (win["estimate"], win["low"], win["high"], win["n"]) == pytest.approx(
        (np.mean(rates), low, high, 4)
    )
    assert win["p"] == pytest.approx(stats.ttest_1samp(rates, 0.5).pvalue)
    assert found["pairs"][0]["rates"] == rates
    assert found["models"][1]["tokens"]["estimate"] == 21.5
    assert found["models"][1]["stop"] is None
    assert found["verdict"] == "Over 4 runs: sft beats base (64.0 % [52.0, 76.0])."


def test_three_runs_that_differ_show_less_than_each_of_them() -> None:
    summaries = [summary_of(k, {("sft", "base"): rate}) for k, rate in enumerate((0.9, 0.45, 0.7))]
    found = combine(summaries, 0.95)
    assert found["pairs"][0]["win"]["p_holm"] > 0.05
    assert "sft is not shown to beat base" in found["verdict"]


def test_runs_that_do_not_differ_still_have_an_interval() -> None:
    (pair,) = combine([summary_of(k, {("sft", "base"): 1.0}) for k in range(3)], 0.95)["pairs"]
    assert pair["win"]["low"] < 0.5
    assert pair["win"]["high"] == 1
    assert pair["win"]["p"] == pytest.approx(0.25)  # three wins of three: all that runs can say here


def test_a_model_that_one_run_lacks_is_named_and_left_out() -> None:
    whole = {("sft", "base"): 0.7, ("dpo", "base"): 0.8}
    found = combine([summary_of(0, whole), summary_of(1, {("sft", "base"): 0.6})], 0.95)
    assert found["missing"] == ["dpo"]
    assert [(one["first"], one["second"]) for one in found["pairs"]] == [("sft", "base")]
    unjudged = combine([summary_of(0, whole), summary_of(1, {**whole, ("sft", "base"): None})], 0.95)
    assert [one["first"] for one in unjudged["pairs"]] == ["dpo"]


def test_planted_runs_of_three_seeds_are_combined(tmp_path: Path) -> None:
    summaries = [
        evaluated(tmp_path / str(seed), names=("base", "sft-rlaif"), prompts=PROMPTS[:8], seed=seed)
        for seed in range(3)
    ]
    assert len({summary["pairs"][0]["win"]["estimate"] for summary in summaries}) > 1
    found = combine(summaries, 0.95)
    assert found["pairs"][0]["win"]["n"] == 3
    assert found["pairs"][0]["win"]["low"] > 0.5
    assert found["pairs"][0]["win"]["high"] <= 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"seed": 1, "graph": ("sft -> rlhf",)}, "graph is"),
        ({"seed": 1, "benchmark": "gsm8k"}, "benchmark is 'nano' and 'gsm8k'"),
        ({"name": "other"}, "same seed: that is one run twice"),
    ],
)
def test_runs_of_unlike_experiments_are_refused(change: Record, fault: str) -> None:
    one, other = (config_of(**values).model_dump(mode="json") for values in ({}, change))
    with pytest.raises(ConfigError, match=fault):
        refuse_unlike({"one": one, "other": other})


def test_name_seed_judge_and_replicas_may_differ() -> None:
    change = {"name": "b", "seed": 1, "judge": {"by": "openai", "model": "m"}, "model": {"replicas": 2}}
    one, other = (config_of(**values).model_dump(mode="json") for values in ({}, change))
    refuse_unlike({"one": one, "other": other})
