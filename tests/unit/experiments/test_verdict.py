"""The sentence that a run ends with."""

from __future__ import annotations

from typing import Any

from rlpersona.experiments.bandit.verdict import verdict


def measured(estimate: float, p_holm: float | None = None) -> dict[str, Any]:
    ends = {"estimate": estimate, "low": estimate - 0.05, "high": estimate + 0.05}
    return {**ends, "n": 60, "level": 0.95, "p_holm": p_holm}


def winner(name: str, gain: float | None, over: tuple[float, float] | None = None) -> dict[str, Any]:
    return {
        "persona": name,
        "accuracy": measured(0.6),
        "gain": None if gain is None else measured(gain),
        "p_holm": None if gain is None else 0.5,
        "over_nonsense": None if over is None else measured(*over),
    }


def said(*winners: dict[str, Any], control: bool = True) -> str:
    found = {"winners": winners, "control": measured(0.5) if control else None, "equivalent": False}
    return verdict(found, [])


def test_nobody_is_compared_with_the_model_alone() -> None:
    start = "No persona is shown to answer better than the model without one: "
    assert said(winner("A", 0.02), winner("B", 0.01)) == (
        f"{start}the best of 2 winners gains +2.0 points [-3.0, +7.0] on 60 fresh questions, and none "
        "of them gains more than 7.0 points at that level of confidence."
    )
    assert said(winner("A", 0.02)) == (
        f"{start}the only winner gains +2.0 points [-3.0, +7.0] on 60 fresh questions, and it does not "
        "gain more than 7.0 points at that level of confidence."
    )


def test_without_a_baseline_invented_names_are_what_is_left_to_beat() -> None:
    start = "No baseline was measured: "
    shown = (
        winner("B", None, (0.2, 0.001)),
        winner("A", None, (0.3, 0.2)),
        winner("C", None, (0.1, 0.01)),
    )
    assert said(*shown, control=False) == (
        f"{start}B answers better than invented names, by +20.0 points [+15.0, +25.0] on 60 fresh "
        "questions."
    )
    assert said(shown[1], winner("D", None, (-0.1, 0.01)), control=False) == (
        f"{start}nobody is shown to answer better than invented names; A, the best, gains +30.0 points "
        "[+25.0, +35.0] on 60 fresh questions."
    )
    alone = said(winner("A", None), control=False)
    assert alone.startswith(f"{start}A answers 60.0 % [55.0, 65.0] of 60 fresh questions right")
