"""From answers to claims: hand-counted tables, planted effects, null worlds, missing answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlpersona.experiments.bandit.analysis import analyse, transferred
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.stats import crossed_mean, holm, tost
from rlpersona.types import Persona

Answers = dict[str, list[float]]


def tables(
    winners: Answers, control: list[float], random: Answers, nonsense: Answers | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    roles = [("control", NO_PERSONA.name, control)] if control else []
    roles += [("winner", name, answers) for name, answers in winners.items()]
    roles += [("random", name, answers) for name, answers in random.items()]
    roles += [("nonsense", name, answers) for name, answers in (nonsense or {}).items()]
    long = pd.DataFrame(
        [
            {"persona": name, "role": role, "question": f"q{k}", "reward": reward, "error": None}
            for role, name, answers in roles
            for k, reward in enumerate(answers)
        ]
    )
    learned = pd.DataFrame({"name": [*winners, *random], "reward": 0.7})
    return long, learned


def analysed(
    winners: Answers,
    control: list[float],
    random: Answers | None = None,
    nonsense: Answers | None = None,
) -> dict[str, Any]:
    long, learned = tables(winners, control, random or {}, nonsense)
    people = [Persona(name, f"You are {name}.", group="g") for name in learned["name"]]
    return analyse(long, learned, people, 0.95, 0.03)


def test_hand_counted_gain() -> None:
    control = [1.0] * 10 + [0.0] * 10
    found = analysed({"Ada": [1.0] * 8 + [0.0] * 2 + [1.0] * 9 + [0.0]}, control, {"Bob": control})
    (ada,) = found["winners"]
    assert (ada["wins"], ada["losses"], ada["ties"]) == (9, 2, 9)
    assert ada["accuracy"]["estimate"] == pytest.approx(17 / 20)
    assert ada["gain"]["estimate"] == pytest.approx(7 / 20)
    # Two-sided sign test of 9 against 2: 2 (C(11,0) + C(11,1) + C(11,2)) / 2^11.
    assert ada["p"] == pytest.approx(2 * (1 + 11 + 55) / 2048)
    assert ada["training_reward"] == 0.7
    assert found["random_gain"]["estimate"] == 0
    assert found["significant"] is False


def test_order_and_correction_over_several_winners() -> None:
    control = [0.0] * 40
    found = analysed({"B": [1.0] * 20 + [0.0] * 20, "A": [1.0] * 6 + [0.0] * 34}, control)
    winners = found["winners"]
    assert [winner["persona"] for winner in winners] == ["B", "A"], "the policy's order"
    p = [winner["p"] for winner in winners]
    assert p == pytest.approx([2 / 2**20, 2 / 2**6])
    assert [winner["p_holm"] for winner in winners] == pytest.approx([2 * p[0], p[1]])
    assert found["significant"] is True
    assert str(found["verdict"]).startswith("B answers better than no persona: +50.0 points")


def test_a_winner_that_is_significantly_worse_is_no_success() -> None:
    found = analysed({"Liar": [0.0] * 40}, [1.0] * 40)
    assert found["winners"][0]["p_holm"] < 1e-6
    assert found["significant"] is False
    assert "No persona" in str(found["verdict"])


def test_unscored_answers_leave_their_question_and_never_count_as_wrong() -> None:
    nan = float("nan")
    found = analysed({"Ada": [1.0, 1.0, nan, nan]}, [0.0, nan, 0.0, 0.0])
    (ada,) = found["winners"]
    assert ada["accuracy"]["estimate"] == 1.0
    assert ada["accuracy"]["n"] == 2
    assert ada["gain"] is None, "one common question is no basis"
    assert found["control"]["estimate"] == 0
    assert found["unscored_share"] == pytest.approx(3 / 8)
    assert "Nothing could be measured" in str(found["verdict"])


def test_nothing_scored_is_none_everywhere() -> None:
    nothing = [float("nan")] * 5
    found = analysed({"Ada": nothing}, nothing, {"Bob": nothing})
    assert found["control"] is None
    assert found["random"] is None
    assert found["random_gain"] is None
    assert found["significant"] is False


def test_null_worlds_have_no_winner() -> None:
    """Five equal personas beside the control: at most 5 % of worlds may claim one (Holm)."""
    rng = np.random.default_rng(0)
    claims = 0
    for _ in range(200):
        answers = (rng.random((6, 120)) < 0.6).astype(float).tolist()
        claims += bool(analysed({f"p{k}": answers[k] for k in range(5)}, answers[5])["significant"])
    assert claims <= 16  # 99.5 % quantile of Binomial(200, .05) is 18; the exact test is conservative


def test_winners_that_change_nothing_are_shown_to_be_equivalent() -> None:
    rng = np.random.default_rng(1)
    control = (rng.random(600) < 0.6).astype(float)
    near = control.copy()
    near[[3, 50, 400]] = 1 - near[[3, 50, 400]]
    found = analysed({"A": near.tolist(), "B": control.tolist()}, control.tolist())
    assert found["equivalent"] is True
    assert found["margin"] == 0.03
    expected = tost(near, control, 0.03)
    assert found["winners"][0]["equivalence"] == {
        "margin": 0.03,
        "p": pytest.approx(expected.p_value),
        "equivalent": True,
        "low": pytest.approx(expected.difference.low),
        "high": pytest.approx(expected.difference.high),
    }
    assert found["verdict"] == (
        "No persona matters here: every winner is within ±3 points of no persona (TOST) "
        "on 600 fresh questions."
    )
    # One winner that is not shown to be near takes the claim away.
    far = (rng.random(600) < 0.6).astype(float).tolist()
    found = analysed({"A": near.tolist(), "B": far}, control.tolist())
    assert found["equivalent"] is False
    assert "No persona is shown" in found["verdict"]


def test_a_gain_that_invented_names_have_too_is_no_gain_of_the_name() -> None:
    rng = np.random.default_rng(2)
    control = (rng.random(400) < 0.5).astype(float)

    def named(extra: float) -> list[float]:
        return np.maximum(control, rng.random(400) < extra).tolist()

    nonsense = {f"(nonsense: {k})": named(0.3) for k in range(5)}
    found = analysed({"Ada": named(0.3)}, control.tolist(), nonsense=nonsense)
    assert found["significant"] is True
    assert "but not than invented names" in found["verdict"]
    assert found["nonsense_gain"]["low"] > 0
    assert [record["role"] for record in found["baselines"]] == ["nonsense"] * 5
    found = analysed({"Ada": named(0.3), "Bob": named(0.8)}, control.tolist(), nonsense=nonsense)
    assert found["verdict"].startswith("Bob answers better than no persona")
    assert "beyond invented names" in found["verdict"]
    over = [winner["over_nonsense"] for winner in found["winners"]]
    corrected = holm([record["p"] for record in over])
    assert [record["p_holm"] for record in over] == pytest.approx(corrected.tolist())


def test_gains_over_a_set_take_its_personas_as_random() -> None:
    rng = np.random.default_rng(3)
    skills = rng.normal(0.6, 0.15, 8)
    random = {
        f"r{k}": (rng.random(300) < skill).astype(float).tolist() for k, skill in enumerate(skills)
    }
    control = (rng.random(300) < 0.6).astype(float).tolist()
    found = analysed({"r0": random["r0"]}, control, random)
    table = np.array(list(random.values()))
    expected = crossed_mean(table - np.array(control))
    assert found["random_gain"]["low"] == pytest.approx(expected.low)
    assert found["random_gain"]["p"] == pytest.approx(expected.p_value)
    assert found["random_gain"]["personas"] == 8
    over = found["winners"][0]["over_random"]
    assert over["personas"] == 7, "not over itself"
    assert over["estimate"] == pytest.approx(np.mean(random["r0"]) - table[1:].mean())
    assert over["low"] == pytest.approx(crossed_mean(table[0] - table[1:]).low)


def test_a_set_of_one_persona_has_that_personas_test() -> None:
    control = [1.0] * 60
    once_wrong = [0.0] + [1.0] * 59
    found = analysed({"Ada": control}, control, {"Bob": once_wrong}, {"(nonsense: X)": once_wrong})
    gain = found["random_gain"]
    assert gain["p"] == 1, "McNemar's, with one discordant question"
    assert (gain["personas"], gain["n"]) == (1, 60)
    assert gain["low"] < -0.08 < 0.04 < gain["high"]
    over = found["winners"][0]["over_nonsense"]
    assert (over["p"], over["personas"]) == (1, 1)
    assert (over["low"], over["high"]) == pytest.approx((-gain["high"], -gain["low"]))


def test_one_answer_apart_is_no_better_evidence_than_none() -> None:
    control = [1.0] * 60
    random = {f"r{k}": list(control) for k in range(5)}
    none = analysed({"Ada": control}, control, random)["random_gain"]
    random["r0"][0] = 0.0
    one = analysed({"Ada": control}, control, random)["random_gain"]
    assert none["high"] - none["low"] > 0.11
    assert one["high"] - one["low"] > 0.11


def test_the_accuracy_of_a_set_takes_its_personas_as_random() -> None:
    rng = np.random.default_rng(4)
    random = {
        f"r{k}": (rng.random(300) < skill).astype(float).tolist()
        for k, skill in enumerate((0.1, 0.5, 0.9))
    }
    control = (rng.random(300) < 0.5).astype(float).tolist()
    found = analysed({"Ada": control}, control, random)
    expected = crossed_mean(np.array(list(random.values())))
    accuracy = found["random"]
    assert accuracy["estimate"] == pytest.approx(expected.estimate)
    assert (accuracy["low"], accuracy["high"]) == (0, 1), (
        "three so different personas say nothing of others"
    )
    assert (expected.low < 0, expected.high > 1, accuracy["n"]) == (True, True, 300)
    alike = dict.fromkeys(("a", "b", "c"), random["r1"])
    close = analysed({"Ada": control}, control, alike)["random"]
    assert close["high"] - close["low"] < 0.13


def test_accuracies_that_are_all_alike_are_no_certainty() -> None:
    right, wrong = [1.0] * 20, [0.0] * 20
    random = {"a": right, **dict.fromkeys("bcde", wrong)}
    found = analysed({"Ada": [0.5] * 20}, right, random)
    q = 1 - 0.025 ** (1 / 20)
    half = found["winners"][0]["accuracy"]
    assert (half["low"], half["high"]) == pytest.approx((0.5 - q / 2, 0.5 + q / 2))
    few = found["random"]
    assert few["estimate"] == pytest.approx(0.2)
    assert few["low"] <= 0.2 * (1 - q)
    assert few["high"] >= 0.2 + 0.8 * q


def test_without_control_there_are_accuracies_but_no_gains() -> None:
    found = analysed({"Ada": [1.0] * 30, "Bob": [0.0] * 30}, [], {"Eve": [0.0] * 20 + [1.0] * 10})
    assert found["control"] is None
    assert found["winners"][0]["gain"] is None
    assert found["random_gain"] is None
    assert found["winners"][0]["over_random"]["estimate"] == pytest.approx(2 / 3)
    assert found["verdict"].startswith("No baseline was measured: Ada answers 100.0 % [")
    assert found["equivalent"] is False


def test_transfer_is_corrected_by_itself() -> None:
    control = [0.0] * 40
    long, _ = tables({"B": [1.0] * 20 + [0.0] * 20, "A": [1.0] * 6 + [0.0] * 34}, control, {})
    found = transferred(long, 0.95)
    assert found["questions"] == 40
    assert [winner["p_holm"] for winner in found["winners"]] == pytest.approx([4 / 2**20, 2 / 2**6])
    assert set(found["winners"][0]) == {"persona", "accuracy", "gain", "p", "p_holm"}
    assert found["random"] is None
