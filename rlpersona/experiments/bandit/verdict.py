"""The result of a validation in a sentence or two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Record = dict[str, Any]


def verdict(found: Record, better: Sequence[Record]) -> str:
    """What the fresh questions say. `found` is `analyse`'s record, `better` its significant winners."""
    winners = found["winners"]
    if not winners:
        return baselines_only(found)
    if found["control"] is None and any(winner["accuracy"] for winner in winners):
        return without_control(winners)
    measured = [winner for winner in winners if winner["gain"] is not None]
    if not measured:
        return "Nothing could be measured: too few fresh questions were scored."
    if better:
        return success(better)
    if found["equivalent"]:
        return (
            f"No persona matters here: every winner is within ±{100 * found['margin']:g} points of no "
            f"persona (TOST) on {measured[0]['gain']['n']} fresh questions."
        )
    most = max((winner["gain"] for winner in measured), key=lambda gain: gain["estimate"])
    ceiling = 100 * max(winner["gain"]["high"] for winner in measured)
    who = "the only winner" if len(measured) == 1 else f"the best of {len(measured)} winners"
    others = "it does not gain" if len(measured) == 1 else "none of them gains"
    return (
        f"No persona is shown to answer better than the model without one: {who} gains {points(most)} "
        f"on {most['n']} fresh questions, and {others} more than {ceiling:.1f} points at that level of "
        "confidence."
    )


def success(better: Sequence[Record]) -> str:
    """The surest winner, of those first that beat invented names, too, where such were measured."""
    named = [winner for winner in better if beats_nonsense(winner)]
    best = min(named or better, key=lambda winner: (winner["p_holm"], -winner["gain"]["estimate"]))
    name, gain, over = best["persona"], best["gain"], best["over_nonsense"]
    said = f"{name} answers better than no persona: {points(gain)} on {gain['n']} fresh questions"
    if over is None:
        return f"{said}."
    if named:
        return f"{said}, and {points(over)} beyond invented names."
    return f"{said}, but not than invented names ({points(over)}): its name is not shown to matter."


def beats_nonsense(winner: Record) -> bool:
    """Whether a winner is shown to gain on invented names (corrected over the winners)."""
    over = winner["over_nonsense"]
    return over is not None and over["estimate"] > 0 and over["p_holm"] < 1 - over["level"]


def without_control(winners: Sequence[Record]) -> str:
    """A gain is a gain over something: over invented names where those answered, else accuracies."""
    named = [winner for winner in winners if winner["over_nonsense"]]
    if named:
        return over_names(named)
    measured = [winner for winner in winners if winner["accuracy"]]
    best = max(measured, key=lambda winner: winner["accuracy"]["estimate"])
    return (
        f"No baseline was measured: {best['persona']} answers {percent(best['accuracy'])} of "
        f"{best['accuracy']['n']} fresh questions right, but nothing says what no persona would."
    )


def over_names(winners: Sequence[Record]) -> str:
    """What invented names show where no persona was not measured."""
    better = [winner for winner in winners if beats_nonsense(winner)]
    best = max(better or winners, key=lambda winner: winner["over_nonsense"]["estimate"])
    over = best["over_nonsense"]
    said = (
        f"{best['persona']} answers better than invented names, by"
        if better
        else f"nobody is shown to answer better than invented names; {best['persona']}, the best, gains"
    )
    return f"No baseline was measured: {said} {points(over)} on {over['n']} fresh questions."


def baselines_only(found: Record) -> str:
    """Without a search there are no winners to judge."""
    control, drawn = found["control"], found["random_gain"]
    if control is None:
        return "Nothing was searched and no baseline was measured: there is nothing to compare."
    said = (
        f"Baselines only: without a persona {percent(control)} of {control['n']} fresh questions are "
        "answered right"
    )
    if drawn is None:
        return f"{said}."
    return f"{said}; random personas differ by {points(drawn)}."


def points(interval: Record) -> str:
    """`+12.5 points [+8.1, +16.9]`."""
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"{100 * interval['estimate']:+.1f} points [{low:+.1f}, {high:+.1f}]"


def percent(interval: Record) -> str:
    """`81.2 % [77.0, 84.9]`."""
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"{100 * interval['estimate']:.1f} % [{low:.1f}, {high:.1f}]"
