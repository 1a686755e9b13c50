"""A sweep in words: what is shown, what is not, and how many runs stand behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rlpersona.report.dose_words import bracket, named
from rlpersona.report.dose_words import value as number
from rlpersona.report.words import p_value, several
from rlpersona.stats.run_values import OBJECTIVE, OVERALL


def verdict(summary: Mapping[str, Any]) -> str:
    """The result in sentences, the first of each bias's own metric. `summary` is that of `analyse`."""
    alpha = 1 - summary["level"]
    plain = [arm for arm in summary["arms"] if arm["control"] == "none" and arm["scaling"] == "none"]
    told = [line for arm in plain or summary["arms"] for line in _arm(arm, summary, alpha)]
    design = summary["design"]
    if design["failed"]:
        n = len(design["failed"])
        told.append(f"{n} of {design['conditions']} conditions {'has' if n == 1 else 'have'} no result.")
    return " ".join(told)


def _arm(arm: Mapping[str, Any], summary: Mapping[str, Any], alpha: float) -> list[str]:
    own = response(arm, arm["own"], OVERALL)
    if own is None:
        return [f"The readout has no measure of {arm['bias']}."]
    lines = [_own(arm, own, alpha)]
    if arm["interaction"] is not None:
        lines.append(_interaction(arm, alpha))
    lines.append(_drift(arm, summary, alpha))
    right = response(arm, "correct", OBJECTIVE)
    if right is not None:
        lines.append(_right(right, alpha))
    return [line for line in lines if line]


def _own(arm: Mapping[str, Any], own: Mapping[str, Any], alpha: float) -> str:
    name = headed(arm["own"])
    n = f"n = {own['runs']} runs of {several(own['seeds'], 'seed')}"
    low, high = own["means"][0], own["means"][-1]
    change = (
        f"from {number(low['estimate'], arm['own'])} at bias_weight {low['dose']:g} to "
        f"{number(high['estimate'], arm['own'])} at {high['dose']:g}"
    )
    p = f"permutation p (Holm) {p_value(own['p_holm'])}, {n}"
    if own["p_holm"] >= alpha:
        floor = (
            f"; the design cannot give a p below {p_value(own['smallest_p'])}"
            if own["smallest_p"] >= alpha
            else ""
        )
        return (
            f"{name} is not shown to follow the weight of the {arm['bias']} bias: {change}; {p}{floor}."
        )
    verb = "rises" if own["slope"]["estimate"] > 0 else "falls"
    capped = [one["dose"] for one in own["means"] if (one["capped"] or 0) > 0.5]
    cut = f" Most completions are cut by the cap at bias_weight {_listed(capped)}." if capped else ""
    return f"{name} {verb} with the weight of the {arm['bias']} bias: {change}; {p}.{cut}"


def _interaction(arm: Mapping[str, Any], alpha: float) -> str:
    found = arm["interaction"]
    p = f"p (Holm) {p_value(found['p_holm'])}"
    if found["p_holm"] >= alpha:
        return f"Subjective and objective domains are not shown to differ in it, {p}."
    more = "more" if found["slope"]["estimate"] > 0 else "less"
    return f"It moves {more} in subjective than in objective domains, {p}."


def _drift(arm: Mapping[str, Any], summary: Mapping[str, Any], alpha: float) -> str:
    found = next(
        (one for one in summary["drift"] if one["metric"] == arm["own"] and one["domain"] == OVERALL),
        None,
    )
    if found is None:
        return ""
    moved = number(found["estimate"], arm["own"], signed=True)
    ends = ""
    if found["low"] is not None:
        ends = f" {bracket(found, arm['own'])}"
    n = f"{found['n']} runs of bias_weight 0"
    if found["equivalent"]:
        return f"Without the bias it stays where it was ({moved}{ends}, {n}, equivalent to no change)."
    if found["p"] is None:
        return f"Without the bias it moves by {moved} ({n}: too few to judge)."
    if found["p"] < alpha:
        return f"Without the bias it drifts by {moved}{ends} ({n}, p {p_value(found['p'])})."
    return f"Without the bias no drift is shown ({moved}{ends}, {n}), nor is it ruled out."


def _right(right: Mapping[str, Any], alpha: float) -> str:
    low, high = (number(right["means"][at]["estimate"], "correct") for at in (0, -1))
    p = f"p (Holm) {p_value(right['p_holm'])}"
    if right["p_holm"] >= alpha:
        return f"Right answers are not shown to change: {low} to {high}, {p}."
    verb = "rise" if right["slope"]["estimate"] > 0 else "fall"
    return f"Right answers {verb} from {low} to {high}, {p}."


def response(arm: Mapping[str, Any], metric: str | None, domain: str) -> Mapping[str, Any] | None:
    """The response of a metric in a domain among those of an arm."""
    return next(
        (one for one in arm["responses"] if one["metric"] == metric and one["domain"] == domain), None
    )


def headed(metric: str) -> str:
    """A metric as a sentence begins with it."""
    name = named(metric)
    return name[:1].upper() + name[1:]


def _listed(doses: list[float]) -> str:
    return ", ".join(f"{dose:g}" for dose in doses)
