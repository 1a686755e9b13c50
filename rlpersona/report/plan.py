"""What a budget can find, before it is spent: the plan in the terminal."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TextIO

from rich.text import Text

from rlpersona.report import words
from rlpersona.report.terminal import Terminal

UNLEARNED = 1.5
"""A policy whose favourite is drawn at most so many times as often as at the start has not learned."""


@dataclass(frozen=True)
class Plan:
    """What to expect of a search. Accuracies, gains and `spread` are shares (0.02 is 2 points).

    `spread` is the assumed standard deviation of the personas' true accuracies around `p`, `explained`
    the share of their variance that follows from what is known of the personas.
    `gain_*` is the expected true gain over the mean persona of the one that an algorithm ends with,
    `gain_best` that of the truly best. `null_maximum` and `null_line` (None below one evaluation each)
    are mean and `level` quantile of what a leaderboard of equal personas would show. `detectable` is
    the smallest true gain that the fresh questions confirm with a chance of 80 %, infinite if none.
    `policy_ratio` is how many times as likely as at the start REINFORCE by SGD of step `lr` draws its
    favourite in the end, to first order; both None where the search is no such REINFORCE. `known` says
    whether the personas have features at all. `enough` says whether what the advised algorithm finds is
    detectable.
    """

    arms: int
    evaluations: int
    questions_fresh: int
    winners: int
    p: float
    spread: float
    level: float
    explained: float
    per_arm: float
    null_maximum: float | None
    null_line: float | None
    gain_best: float
    gain_even: float
    gain_halving: float
    gain_features: float
    detectable: float
    policy_ratio: float | None
    lr: float | None
    known: bool
    algorithm: str
    reason: str

    @property
    def gain(self) -> float:
        """Expected true gain of the advised algorithm."""
        gains = {"uniform": self.gain_even, "hierarchical": self.gain_features}
        return gains.get(self.algorithm, self.gain_halving)

    @property
    def enough(self) -> bool:
        """Whether a find of the expected size would be confirmed."""
        return self.gain >= self.detectable


def print_plan(plan: Plan, file: TextIO | None = None) -> None:
    """Print the plan, at most a dozen lines; `file` is stdout if None."""
    terminal = Terminal(file or sys.stdout)
    for line in plan_lines(plan):
        # Unfolded: the terminal breaks a long line itself.
        terminal.console.print(Text(line), soft_wrap=True)


def plan_lines(plan: Plan, short: bool = False) -> list[str]:
    """The plan as plain lines: at most twelve, or three if `short`."""
    title = (
        f"Plan: {words.several(plan.arms, 'persona')}, {words.several(plan.evaluations, 'evaluation')} "
        f"({_per_arm(plan.per_arm)} each), {words.several(plan.questions_fresh, 'fresh question')}."
    )
    advice = f"Advice: {plan.algorithm}. {plan.reason}"
    fresh = (
        f"Fresh questions: {_detectable(plan)} (chance 80 %, {plan.winners} tested; sooner if answers "
        "with and without persona mostly agree)."
    )
    if plan.arms == 1:
        return [title, fresh, advice]
    if short:
        return [
            title,
            f"If true accuracies spread by {words.points(plan.spread)[1:]}: the best persona gains "
            f"{words.points(plan.gain_best)}, the one that {plan.algorithm} finds "
            f"{words.points(plan.gain)}, and {_detectable(plan)}.",
            advice,
        ]
    features = (
        f"  {words.points(plan.gain_features):>9}  found by hierarchical halving, if what is known of "
        f"personas explains {100 * assumed_share(plan.explained):.0f} % of their variance"
    )
    return [
        title,
        f"Assumed: true accuracies spread by {words.points(plan.spread)[1:]} around "
        f"{words.percent(plan.p)} (--spread, --p if you know), and the mean persona is "
        "no better than none.",
        f"  {words.points(plan.gain_best):>9}  the truly best persona",
        f"  {words.points(plan.gain_even):>9}  the persona found by even allocation (expected, true)",
        f"  {words.points(plan.gain_halving):>9}  found by halving",
        *([features] if plan.known else []),
        _null_line(plan),
        fresh,
        *_policy(plan),
        _verdict(plan),
        advice,
    ]


def assumed_share(explained: float) -> float:
    """The share of variance that features are taken to explain: half where the user claims none."""
    return explained or 0.5


def _per_arm(evaluations: float) -> str:
    return f"{evaluations:.2g}" if evaluations < 10 else words.count(evaluations)


def _null_line(plan: Plan) -> str:
    if plan.null_maximum is None or plan.null_line is None:
        return "Leaderboard of the search: most personas never answer; it says nothing of them."
    return (
        f"Leaderboard of the search: were all personas equal, its top would still show "
        f"{words.points(plan.null_maximum)} (at most {words.points(plan.null_line)} in "
        f"{100 * plan.level:g} % of searches)."
    )


def _detectable(plan: Plan) -> str:
    if math.isinf(plan.detectable):
        return "no possible gain would be confirmed"
    return f"a true gain is confirmed from {words.points(plan.detectable)} on"


def _policy(plan: Plan) -> list[str]:
    if plan.policy_ratio is None:
        return []
    start = f"REINFORCE by plain gradient steps (SGD, lr {plan.lr:g}) ends up drawing its favourite"
    if plan.policy_ratio > 100:
        return [f"{start} more than 100 times as often as at the start."]
    digits = 3 if plan.policy_ratio < 1.1 else 1
    fate = ": it will not learn." if plan.policy_ratio < UNLEARNED else "."
    return [f"{start} {plan.policy_ratio:.{digits}f} times as often as at the start{fate}"]


def _verdict(plan: Plan) -> str:
    if plan.enough:
        return "What this search is expected to find, its fresh questions can confirm."
    return (
        "What this search is expected to find is too small to be confirmed: more evaluations, or more "
        "fresh questions (validation.questions)."
    )
