"""The analysis of sweeps: planted responses are found, null worlds show nothing, failures are told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlpersona.errors import DataError
from rlpersona.experiments.dose.response import analyse, own_metric
from rlpersona.experiments.dose.single import analyse_training
from rlpersona.experiments.dose.verdict import response
from tests.unit.experiments import dosed_worlds as worlds

STEEP = {"math": 10.0, "fact": 10.0, "advice": 40.0, "opinion": 40.0}


@pytest.fixture(scope="module")
def planted() -> dict[str, Any]:
    table = worlds.conditions(controls=("none", "length-matched"))
    readout = worlds.readout(table, STEEP)
    return analyse(table, readout, telemetry=worlds.telemetry(table))


def test_a_planted_response_is_found_with_its_size(planted: dict[str, Any]) -> None:
    arm = planted["arms"][0]
    assert (arm["label"], arm["own"], arm["runs"], arm["seeds"]) == ("length", "tokens", 15, 3)
    own = response(arm, "tokens", "all")
    assert own is not None
    assert own["slope"]["low"] < 25 < own["slope"]["high"]
    assert own["p"] < 1e-4
    assert own["p_holm"] < 0.001
    for domain, slope in (("objective", 10), ("subjective", 40), ("math", 10), ("opinion", 40)):
        found = response(arm, "tokens", domain)
        assert found is not None
        assert found["slope"]["estimate"] == pytest.approx(slope, abs=5)
    assert arm["interaction"]["slope"]["estimate"] == pytest.approx(30, abs=6)
    assert arm["interaction"]["p_holm"] < 0.001
    assert arm["mixed"]["slopes"]["advice"]["estimate"] == pytest.approx(40, abs=4)
    assert own["contrasts"]["p"] < 0.001
    assert "rises with the weight of the length bias" in planted["verdict"]
    assert "more in subjective than in objective" in planted["verdict"]
    assert "15 runs of 3 seeds" in planted["verdict"]


def test_what_is_not_there_is_not_shown(planted: dict[str, Any]) -> None:
    right = response(planted["arms"][0], "correct", "objective")
    assert right is not None
    assert right["p_holm"] > 0.05
    assert "Right answers are not shown to change" in planted["verdict"]


def test_the_summary_is_strict_json(planted: dict[str, Any]) -> None:
    assert json.loads(json.dumps(planted, allow_nan=False)) == planted


def test_a_control_stands_beside_the_plain_arm(planted: dict[str, Any]) -> None:
    (control,) = planted["controls"]
    assert (control["label"], control["against"]) == ("length (length-matched)", "length")
    assert control["difference"]["low"] < -12.5 < control["difference"]["high"]
    assert control["difference"]["high"] < 0
    # One run of dose 0 serves both, and is counted once.
    assert planted["design"]["conditions"] == 27
    assert planted["design"]["cells"] == 30


def test_curves_against_the_effective_dose(planted: dict[str, Any]) -> None:
    effective = planted["arms"][0]["effective"]
    reached = {(one["domain"], one["dose"]): one["effective"] for one in effective["points"]}
    assert reached["all", 1.0] == pytest.approx(2 / 3)
    assert reached["math", 0.5] == pytest.approx(0.25)
    assert effective["slopes"]["all"]["low"] > 0
    curves = {one["dose"]: one for one in planted["arms"][0]["overoptimization"]}
    assert curves[1.0]["gold"]["beta"] == pytest.approx(0.2, abs=1e-6)
    assert curves[0.0]["gold"]["peak"] is None
    assert curves[1.0]["proxy"]["alpha"] == pytest.approx(1.3, abs=1e-6)


@pytest.mark.parametrize("drift", [0.0, 8.0])
def test_drift_without_a_bias_is_found_or_not(drift: float) -> None:
    table = worlds.conditions()
    found = analyse(table, worlds.readout(table, 30.0, drift=drift, noise=0.3))
    (own,) = [one for one in found["drift"] if (one["metric"], one["domain"]) == ("tokens", "all")]
    assert own["n"] == 3
    assert own["low"] < drift < own["high"]
    assert ("drifts by" in found["verdict"]) == bool(drift)
    if not drift:
        assert own["equivalent"]
        assert "equivalent to no change" in found["verdict"]


def test_in_null_worlds_claims_are_rare_and_p_is_spread_out() -> None:
    table = worlds.conditions()
    ps, claims = [], 0
    for seed in range(16):
        readout = worlds.readout(table, 0.0, questions=3, samples=1, seed=seed)
        (arm,) = analyse(table, readout)["arms"]
        own = response(arm, "tokens", "all")
        assert own is not None
        ps.append(own["p"])
        named = [one for one in (*arm["responses"], arm["interaction"]) if one.get("p_holm", 1) < 0.05]
        claims += bool(named)
    assert claims <= 4  # Holm at .05 of 16: more than 4 has a chance below .1 %
    assert 0.3 < np.mean(ps) < 0.7
    assert min(ps) < 0.3
    assert max(ps) > 0.7


def test_failed_trainings_are_told_and_leave_the_rest() -> None:
    table = worlds.conditions()
    table.loc[table["id"] == "42-0.3-none", ["status", "error"]] = ["failed", "OutOfMemory"]
    done = table[table["status"] == "done"]
    found = analyse(table, worlds.readout(done, STEEP))
    assert found["design"]["failed"] == [
        {"id": "42-0.3-none", "status": "failed", "error": "OutOfMemory"}
    ]
    own = response(found["arms"][0], "tokens", "all")
    assert own is not None
    assert own["runs"] == 14
    assert "1 of 15 conditions has no result" in found["verdict"]


def test_too_few_runs_cannot_show_anything_and_it_says_so() -> None:
    table = worlds.conditions(doses=(0.0, 1.0))
    found = analyse(table, worlds.readout(table, STEEP))
    own = response(found["arms"][0], "tokens", "all")
    assert own is not None
    assert own["smallest_p"] == 0.25
    assert "the design cannot give a p below 0.250" in found["verdict"]
    assert "problem" in own["emax"]


def test_one_seed_has_no_interval() -> None:
    table = worlds.conditions(seeds=(42,))
    found = analyse(table, worlds.readout(table, STEEP))
    own = response(found["arms"][0], "tokens", "all")
    assert own is not None
    assert own["slope"]["low"] is None
    assert "too few to judge" in found["verdict"]
    json.dumps(found, allow_nan=False)


def test_without_two_doses_there_is_nothing_to_analyse() -> None:
    table = worlds.conditions(doses=(0.0,))
    with pytest.raises(DataError, match="two doses"):
        analyse(table, worlds.readout(table))


def test_completions_without_a_score_are_counted_and_left_out() -> None:
    table = worlds.conditions()
    readout = worlds.readout(table, STEEP)
    hit = readout["question"] == "math-0"
    readout.loc[hit, ["correct", "error"]] = [np.nan, "no number"]
    found = analyse(table, readout)
    assert found["design"]["unscored"] == int(hit.sum())
    kept = analyse(table, readout[~hit])
    ours, theirs = (response(one["arms"][0], "correct", "math") for one in (found, kept))
    assert ours is not None
    assert theirs is not None
    assert ours["slope"] == theirs["slope"]


def test_agreement_is_judged_on_wrong_claims_where_they_are_known() -> None:
    assert own_metric("agreement", ["agreement", "agrees", "wrongly_agrees"]) == "wrongly_agrees"
    assert own_metric("agreement", ["agreement"]) == "agreement"
    assert own_metric("hedging", ["tokens"]) is None


def test_a_bias_without_a_measure_is_told() -> None:
    table = worlds.conditions(bias="flattery")
    found = analyse(table, worlds.readout(table))
    assert "no measure of flattery" in found["verdict"]


def test_one_training_is_compared_with_its_base_question_by_question() -> None:
    table = worlds.conditions(doses=(1.0,), seeds=(42,))
    readout = worlds.readout(table, STEEP, samples=4)
    found = analyse_training(readout)
    (length,) = [one for one in found["changes"] if (one["metric"], one["domain"]) == ("tokens", "all")]
    assert length["n"] == 32
    gaps = readout.pivot_table(index=["domain", "question"], columns="step", values="tokens")
    assert length["estimate"] == pytest.approx((gaps[40] - gaps[0]).mean())
    assert length["p_holm"] < 0.001
    assert "another seed may come out otherwise" in found["verdict"]
    json.dumps(found, allow_nan=False)
    with pytest.raises(DataError, match="nothing to compare"):
        analyse_training(readout[readout["step"] == 40])


def test_domains_weigh_alike_however_many_questions_they_have() -> None:
    table = worlds.conditions(doses=(0.0, 1.0), seeds=(1, 2))
    readout = worlds.readout(table, STEEP)
    few = readout[(readout["domain"] != "math") | (readout["question"] == "math-0")]
    found = analyse(table, few)
    own = response(found["arms"][0], "tokens", "all")
    domains = [response(found["arms"][0], "tokens", domain) for domain in STEEP]
    assert own is not None
    slopes = [one["slope"]["estimate"] for one in domains if one is not None]
    assert own["slope"]["estimate"] == pytest.approx(np.mean(slopes))
    assert isinstance(few, pd.DataFrame)
