"""From answers to claims: hand-counted tables, planted effects, null worlds, missing answers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rlpersona.experiments.analysis import analyse
from rlpersona.personas.roster import NO_PERSONA
from rlpersona.types import Persona

Answers = dict[str, list[float]]


def tables(winners: Answers, control: list[float], random: Answers) -> tuple[pd.DataFrame, pd.DataFrame]:
    roles = [("control", NO_PERSONA.name, control)]
    roles += [("winner", name, answers) for name, answers in winners.items()]
    roles += [("random", name, answers) for name, answers in random.items()]
    long = pd.DataFrame(
        [
            {"persona": name, "role": role, "question": f"q{k}", "reward": reward, "error": None}
            for role, name, answers in roles
            for k, reward in enumerate(answers)
        ]
    )
    learned = pd.DataFrame({"name": [*winners, *random], "reward": 0.7})
    return long, learned


def analysed(winners: Answers, control: list[float], random: Answers | None = None) -> dict[str, object]:
    long, learned = tables(winners, control, random or {})
    people = [Persona(name, f"You are {name}.", group="g") for name in learned["name"]]
    return analyse(long, learned, people, 0.95)


def test_hand_counted_gain() -> None:
    control = [1.0] * 10 + [0.0] * 10
    found = analysed({"Ada": [1.0] * 8 + [0.0] * 2 + [1.0] * 9 + [0.0]}, control, {"Bob": control})
    (ada,) = found["winners"]  # type: ignore[misc]
    assert (ada["wins"], ada["losses"], ada["ties"]) == (9, 2, 9)
    assert ada["accuracy"]["estimate"] == pytest.approx(17 / 20)
    assert ada["gain"]["estimate"] == pytest.approx(7 / 20)
    # Two-sided sign test of 9 against 2: 2 (C(11,0) + C(11,1) + C(11,2)) / 2^11.
    assert ada["p"] == pytest.approx(2 * (1 + 11 + 55) / 2048)
    assert ada["training_reward"] == 0.7
    assert found["random_gain"]["estimate"] == 0  # type: ignore[index]
    assert found["significant"] is False


def test_order_and_correction_over_several_winners() -> None:
    control = [0.0] * 40
    found = analysed({"B": [1.0] * 20 + [0.0] * 20, "A": [1.0] * 6 + [0.0] * 34}, control)
    winners = found["winners"]
    assert [winner["persona"] for winner in winners] == ["B", "A"], "the policy's order"  # type: ignore[attr-defined]
    p = [winner["p"] for winner in winners]  # type: ignore[attr-defined]
    assert p == pytest.approx([2 / 2**20, 2 / 2**6])
    assert [winner["p_holm"] for winner in winners] == pytest.approx([2 * p[0], p[1]])  # type: ignore[attr-defined]
    assert found["significant"] is True
    assert str(found["verdict"]).startswith("B answers better than no persona: +50.0 points")


def test_a_winner_that_is_significantly_worse_is_no_success() -> None:
    found = analysed({"Liar": [0.0] * 40}, [1.0] * 40)
    assert found["winners"][0]["p_holm"] < 1e-6  # type: ignore[index]
    assert found["significant"] is False
    assert "No persona" in str(found["verdict"])


def test_unscored_answers_leave_their_question_and_never_count_as_wrong() -> None:
    nan = float("nan")
    found = analysed({"Ada": [1.0, 1.0, nan, nan]}, [0.0, nan, 0.0, 0.0])
    (ada,) = found["winners"]  # type: ignore[misc]
    assert ada["accuracy"]["estimate"] == 1.0
    assert ada["accuracy"]["n"] == 2
    assert ada["gain"] is None, "one common question is no basis"
    assert found["control"]["estimate"] == 0  # type: ignore[index]
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
