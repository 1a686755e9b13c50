"""The plan in the terminal: few lines, every assumption said."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from rlpersona.report.plan import Plan, plan_lines, print_plan

PLAN = Plan(
    arms=2174,
    evaluations=5000,
    questions_fresh=400,
    winners=5,
    p=0.6,
    spread=0.02,
    level=0.95,
    explained=0.0,
    per_arm=2.3,
    null_maximum=0.075,
    null_line=0.088,
    gain_best=0.069,
    gain_even=0.001,
    gain_halving=0.028,
    gain_features=0.031,
    detectable=0.115,
    policy_ratio=1.007,
    lr=0.1,
    known=True,
    algorithm="halving",
    reason="It takes evaluations from the hopeless for the hopeful.",
)


def text(plan: Plan, short: bool = False) -> str:
    return "\n".join(plan_lines(plan, short))


def test_at_most_twelve_lines_or_three() -> None:
    assert len(plan_lines(PLAN)) <= 12
    assert len(plan_lines(PLAN, short=True)) == 3


def test_assumptions_gains_and_advice_are_said() -> None:
    for said in (
        "2,174 personas, 5,000 evaluations (2.3 each), 400 fresh questions",
        "Assumed: true accuracies spread by 2.0 pp around 60.0 %",
        "   +2.8 pp  found by halving",
        "explains 50 % of their variance",
        "still show +7.5 pp (at most +8.8 pp in 95 % of searches)",
        "confirmed from +11.5 pp on",
        "1.007 times as often as at the start: it will not learn",
        "too small to be confirmed",
        "Advice: halving.",
    ):
        assert said in text(PLAN)


def test_a_plan_that_is_enough_says_so() -> None:
    enough = replace(PLAN, detectable=0.02, policy_ratio=31.4, explained=0.3, algorithm="hierarchical")
    assert enough.gain == 0.031
    assert "can confirm" in text(enough)
    assert "31.4 times as often as at the start." in text(enough)
    assert "explains 30 % of" in text(enough)


def test_what_cannot_be_is_said_without_numbers() -> None:
    starved = replace(PLAN, null_maximum=None, null_line=None, detectable=float("inf"))
    assert "most personas never answer" in text(starved)
    assert "no possible gain would be confirmed" in text(starved, short=True)
    assert "inf" not in text(starved)
    assert "more than 100 times" in text(replace(PLAN, policy_ratio=1e9))


def test_nothing_is_said_of_what_the_search_does_not_do() -> None:
    lines = text(replace(PLAN, policy_ratio=None, lr=None, known=False))
    assert "SGD" not in lines
    assert "what is known of personas" not in lines
    assert "found by halving" in lines


def test_one_persona_has_a_plan_of_three_lines() -> None:
    lines = plan_lines(replace(PLAN, arms=1, evaluations=1, winners=1, algorithm="uniform"))
    assert lines[0].startswith("Plan: 1 persona, 1 evaluation (")
    assert len(lines) == 3
    assert not any("halving" in line for line in lines[:2])


@pytest.mark.parametrize("algorithm", ["uniform", "halving", "hierarchical"])
def test_the_short_form_promises_what_the_advice_finds(algorithm: str) -> None:
    found = {"uniform": "+0.1 pp", "halving": "+2.8 pp", "hierarchical": "+3.1 pp"}[algorithm]
    assert f"the one that {algorithm} finds {found}" in text(
        replace(PLAN, algorithm=algorithm), short=True
    )


def test_printed_plain_and_unfolded_where_nobody_watches() -> None:
    out = io.StringIO()
    print_plan(PLAN, out)
    assert out.getvalue().splitlines() == plan_lines(PLAN)
