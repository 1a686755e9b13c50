"""The records of a bandit run as typed values: what `summary.json` and `metrics.jsonl` hold.

Every field that a run may lack has a default that means "not measured": a run folder of any age reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator


class _Record(BaseModel):
    """Base of what is read: unknown keys pass, and a number that is not finite counts as missing."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @field_validator("*", mode="before")
    @classmethod
    def _finite(cls, value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value


class Measured(_Record):
    """An estimate with its interval at `level`; `n` counts the true unit (questions).

    `estimate` is None where nothing could be measured; `low` and `high` are None where an estimate
    has no interval.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    level: float | None = None
    p: float | None = None
    p_holm: float | None = None


def _measured(value: Any) -> Any:
    """None is nothing measured; a test's result (`gain` and `p`) is its interval with the p value."""
    if value is None:
        return Measured()
    if isinstance(value, dict) and "gain" in value:
        gain = value["gain"]
        return {**gain, "p": value.get("p")} if isinstance(gain, dict) else {**value, "estimate": gain}
    return value


MaybeMeasured = Annotated[Measured, BeforeValidator(_measured)]


def _none_is_empty(value: Any) -> Any:
    return () if value is None else value


class Equivalence(_Record):
    """Two one-sided tests: whether a gain is shown to lie within -margin and +margin."""

    margin: float | None = None
    p: float | None = None
    equivalent: bool | None = None
    low: float | None = None
    high: float | None = None


class Compared(_Record):
    """A persona's answers to fresh questions beside the control's on the same questions.

    `accuracy` is the share of right answers, `gain` the paired difference to the no-persona control,
    `p` its test alone; `wins`, `losses` and `ties` count questions.
    """

    persona: str
    accuracy: MaybeMeasured = Measured()
    gain: MaybeMeasured = Measured()
    p: float | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None


class Baseline(Compared):
    """A prefix that names nobody: an empty name, or a nonsense name."""

    role: Literal["empty", "nonsense"]


class Winner(Compared):
    """A persona that the policy chose, measured again on fresh questions.

    `p_holm` is the p value corrected over all winners, `training_reward` what the persona earned
    while it was being chosen; `over_random` and `over_nonsense` are its paired gains over the mean of
    the random personas and of the nonsense names.
    """

    group: str | None = None
    field: str | None = None
    p_holm: float | None = None
    training_reward: float | None = None
    equivalence: Equivalence | None = None
    over_random: MaybeMeasured = Measured()
    over_nonsense: MaybeMeasured = Measured()


class Transfer(_Record):
    """The winners on another benchmark than the one they were found on."""

    benchmark: str
    questions: int | None = None
    control: MaybeMeasured = Measured()
    random: MaybeMeasured = Measured()
    random_gain: MaybeMeasured = Measured()
    winners: tuple[Winner, ...] = ()


class Convergence(_Record):
    """A planted group's share of the pool and of the final policy, and the round from which on it held
    half and .9 of the policy; None where it never came to that."""

    group: str
    pool: float | None = None
    final: float | None = None
    half: int | None = None
    most: int | None = None


class Reference(_Record):
    """What winners are held against: no persona, an empty name, nonsense names, random personas."""

    label: str
    kind: str
    accuracy: Measured
    gain: Measured = Measured()


class Summary(_Record):
    """`summary.json`: the result of a bandit run. Numbers are None where nothing was measured."""

    run: str
    model: str
    benchmark: str
    algorithm: str
    verdict: str
    winners: tuple[Winner, ...]
    experiment: str = "bandit"
    reward: Literal["accuracy", "probability", "judged"] = "accuracy"
    significant: bool | None = None
    equivalent: bool | None = None
    margin: float | None = None
    personas: int | None = None
    questions_train: int | None = None
    questions_fresh: int | None = None
    rounds: int | None = None
    evaluations: int | None = None
    seconds: float | None = None
    seed: int | None = None
    null_maximum: float | None = None
    chance: float | None = None
    unscored_share: float | None = None
    control: MaybeMeasured = Measured()
    random: MaybeMeasured = Measured()
    random_gain: MaybeMeasured = Measured()
    nonsense: MaybeMeasured = Measured()
    nonsense_gain: MaybeMeasured = Measured()
    baselines: Annotated[tuple[Baseline, ...], BeforeValidator(_none_is_empty)] = ()
    transfer: Annotated[tuple[Transfer, ...], BeforeValidator(_none_is_empty)] = ()
    convergence: Annotated[tuple[Convergence, ...], BeforeValidator(_none_is_empty)] = ()
    plan: Annotated[tuple[str, ...], BeforeValidator(_none_is_empty)] = ()

    @property
    def fresh(self) -> str:
        """What fresh questions measure, in words."""
        return "comparisons won" if self.reward == "judged" else "accuracy"

    @property
    def training(self) -> str:
        """Heading of what winners earned in training, with the reward where that is no accuracy."""
        return "in training" if self.reward == "accuracy" else f"in training ({self.reward})"

    @property
    def measure(self) -> str:
        """What the search was rewarded with, in words. Fresh questions measure accuracy, or what
        the judge says."""
        return {
            "accuracy": "accuracy",
            "probability": "probability of the right answer",
            "judged": "share of comparisons won",
        }[self.reward]

    @property
    def best(self) -> Winner | None:
        """The winner to speak of: the surest gain, or the greatest where none is confirmed."""
        measured = [winner for winner in self.winners if winner.gain.estimate is not None]
        better = [winner for winner in measured if _or(winner.gain.estimate, 0) > 0]
        if self.significant and better:
            return min(better, key=lambda winner: (_or(winner.p_holm, 1), -_or(winner.gain.estimate, 0)))
        return max(measured, key=lambda winner: _or(winner.gain.estimate, 0), default=None)

    @property
    def uncontrolled(self) -> bool:
        """Whether accuracies were measured, but not that of no persona to hold them against."""
        shown = [*(one.accuracy for one in (*self.winners, *self.baselines)), self.random]
        return self.control.estimate is None and any(one.estimate is not None for one in shown)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The comparisons in the order in which they are shown; prefixes, and no persona beside others,
        only if they were measured."""
        found = []
        if not self.uncontrolled:
            found.append(Reference(label="no persona", kind="control", accuracy=self.control))
        for one in self.baselines:
            if one.role == "empty":
                gain = one.gain.model_copy(update={"p": one.gain.p if one.p is None else one.p})
                found.append(
                    Reference(label="empty name", kind="control", accuracy=one.accuracy, gain=gain)
                )
        names = [one.accuracy for one in self.baselines if one.role == "nonsense"]
        if names:
            pooled = self.nonsense if self.nonsense.estimate is not None else _mean(names)
            found.append(
                Reference(
                    label="nonsense names", kind="control", accuracy=pooled, gain=self.nonsense_gain
                )
            )
        return (
            *found,
            Reference(
                label="random personas", kind="comparison", accuracy=self.random, gain=self.random_gain
            ),
        )


class Leader(_Record):
    """One of the policy's best personas in mid-search: mean reward so far, with its interval."""

    persona: str
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    evaluations: int = 0
    probability: float | None = None


class TransferPoint(_Record):
    """Accuracy of the policy's best personas (`top`) and of no persona on another benchmark."""

    top: float | None = None
    control: float | None = None
    questions: int | None = None


class Round(_Record):
    """One line of `metrics.jsonl`. `evaluations`, `draws`, `unscored` and `seconds` count from the
    start of the work; `reward` is the round's mean; `entropy` is the policy's, in nats; `groups` is
    its probability by planted group. `draws` are evaluations with repeated draws counted again: what
    of the `budget` is spent."""

    round: int = Field(ge=0)
    rounds: int = Field(ge=0)
    evaluations: int = 0
    draws: int | None = None
    budget: int | None = None
    unscored: int = 0
    reward: float | None = None
    entropy: float | None = None
    top: str | None = None
    top_probability: float | None = None
    leaders: Annotated[tuple[Leader, ...], BeforeValidator(_none_is_empty)] = ()
    transfer: Mapping[str, TransferPoint] | None = None
    groups: Mapping[str, float | None] | None = None
    seconds: float | None = None

    @property
    def spent(self) -> int:
        """What of the budget is spent, in evaluations."""
        return self.evaluations if self.draws is None else self.draws


def _mean(measured: Sequence[Measured]) -> Measured:
    """The mean of several estimates, without an interval; `n` if they share it."""
    known = [one.estimate for one in measured if one.estimate is not None]
    counts = {one.n for one in measured}
    return Measured(
        estimate=sum(known) / len(known) if known else None, n=counts.pop() if len(counts) == 1 else None
    )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
