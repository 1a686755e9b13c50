"""Configs of GRPO under a reward: one training, and a factorial of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FiniteFloat

from rlpersona.config.base import RUN_NAME, Config, Names, RunConfig, Sources, listed
from rlpersona.config.training import GRPORecipe

BiasName = Literal["length", "agreement", "politeness", "hedging", "confidence", "flattery"]
Control = Literal[
    "none", "length-matched", "reward-matched", "random-reward", "overlong", "length-decorrelated"
]

Scaling = Literal["none", "group", "batch"]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class SuiteConfig(Config):
    """The prompts: balanced over domains, training and evaluation disjoint."""

    domains: Names = Field(
        (),
        description="empty: math, word, fact, advice, opinion, persuade of the nano world (it also has"
        " claim, compare, who), or math, factual, coding, advice, opinion, creative of files",
    )
    sources: Sources = Field(
        (), description="benchmarks behind the domains, such as gsm8k@file; empty: the nano world"
    )
    size: int = Field(600, ge=2, description="training prompts, in equal parts of the domains")
    evaluation: int = Field(120, ge=2, description="evaluation prompts, in equal parts")
    wrong_claims: bool = Field(False, description="claims: only those that are wrong")


class RewardConfig(Config):
    """`task + bias_weight * bias`: what a completion earns."""

    biases: dict[BiasName, float] = Field({}, description="bias_weight of each bias; empty: task alone")
    composition: Literal["sum", "capped", "mitigated"] = Field(
        "sum",
        description="capped: all biases at most `cap`; mitigated: minus in objective domains",
    )
    cap: float = Field(0.5, gt=0)
    length_scale: int = Field(96, ge=1, description="tokens at which the length bias is 1")
    control: Control = Field(
        "none", description="what stands in for the bias; overlong: the bias, and a punishment of length"
    )
    overlong_from: float = Field(0.8, gt=0, lt=1, description="overlong: share of the cap to begin at")


class ReadoutConfig(Config):
    """What is measured on the evaluation prompts, at which steps."""

    samples: int = Field(4, ge=1, description="completions of each prompt")
    temperature: float = Field(1.0, ge=0)
    max_tokens: int = Field(128, ge=1)
    every: int | None = Field(None, ge=1, description="steps between readouts; empty: last alone")
    held_out: int = Field(48, ge=0, description="prompts on which the task is watched while training")
    watch_every: int = Field(10, ge=1, description="steps between two looks at those prompts")
    axis: str = Field("", description="an axis run beside this one, along which the training is logged")
    axis_every: int = Field(5, ge=1, description="steps between two looks along the axis")


class GRPOConfig(RunConfig):
    """One GRPO training under one reward, read out on prompts that it never saw."""

    experiment: Literal["grpo"] = "grpo"
    name: str = Field("grpo", pattern=RUN_NAME, description="name of the run, and of its folder")
    suite: SuiteConfig = SuiteConfig()
    reward: RewardConfig = RewardConfig()
    recipe: GRPORecipe = GRPORecipe()
    readout: ReadoutConfig = ReadoutConfig()
    level: float = Field(0.95, gt=0.5, lt=1, description="confidence level of every interval")


def numbers(value: Any) -> Any:
    """`0.3` as `(0.3,)` and `"0, 0.3"` as `("0", "0.3")`: how numbers come from the command line."""
    return (value,) if isinstance(value, int | float) else listed(value)


def distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The levels of a factor, none of them twice."""
    if twice := sorted({str(value) for value in values if values.count(value) > 1}):
        raise ValueError(f"{', '.join(twice)} is there twice")
    return values


Levels = (BeforeValidator(listed), AfterValidator(distinct), Field(min_length=1))
Numbers = (BeforeValidator(numbers), AfterValidator(distinct), Field(min_length=1))


class SweepConfig(GRPOConfig):
    """The factorial bias x bias_weight x control x scale_rewards x seed of GRPO trainings.

    What the factors fill (`reward.biases`, `reward.control`, `recipe.scale_rewards`) stays unset.
    `seed` draws the prompts, which are the same for all; `seeds` are those of the trainings. Conditions
    that come out the same are trained once: one run of weight 0 serves every bias.
    """

    experiment: Literal["sweep"] = "sweep"  # type: ignore[assignment]
    name: str = Field("sweep", pattern=RUN_NAME, description="name of the run, and of its folder")
    biases: Annotated[tuple[BiasName, ...], *Levels] = ("length",)
    bias_weights: Annotated[tuple[FiniteFloat, ...], *Numbers] = (0, 0.1, 0.3, 0.5, 1)
    controls: Annotated[tuple[Control, ...], *Levels] = ("none",)
    scalings: Annotated[tuple[Scaling, ...], *Levels] = ("none",)
    seeds: Annotated[tuple[Seed, ...], *Numbers] = (42, 123, 456)
    at_once: int = Field(
        2, ge=1, description="trainings at a time, then replicas that read out, as CPUs and GPUs allow"
    )
    retries: int = Field(2, ge=0, description="how often a failed training is tried again")
    packed: Annotated[int, Field(ge=1)] | bool = Field(
        False,
        description="train so many conditions in one process; true: `at_once` packs, or more for memory",
    )
