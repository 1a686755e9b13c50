"""Configs of the Assistant Axis: how it is made, and how runs are measured along it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rlpersona.config.base import RUN_NAME, JudgeConfig, Names, RunConfig


class AxisConfig(RunConfig):
    """Roles x system prompts x questions -> responses -> activations -> role vectors -> the axis.

    The axis of a layer is mean(default) - mean(roles), after Lu et al. 2026 (the Assistant Axis).
    """

    experiment: Literal["axis"] = "axis"
    name: str = Field("axis", pattern=RUN_NAME, description="name of the run, and of its folder")
    roles: str = Field(
        "nano", description="nano, or a folder: a JSON file a role with instruction and questions"
    )
    questions: str = Field(
        "nano", description="nano, or a JSONL file of questions that all roles answer"
    )
    traits: str = Field("nano", description="nano, none, or a folder: as roles, with pos and neg")
    only: Names = Field((), description="keep these roles only; empty: all")
    question_limit: int | None = Field(None, ge=2, description="use at most so many questions")
    model_name: str = Field(
        "", description="what stands for {model_name} in a prompt; empty: the end of model.name"
    )
    prompts_per_role: int = Field(5, ge=1, description="system prompts of a role, at most")
    temperature: float = Field(1.0, ge=0)
    max_tokens: int = Field(96, ge=1)
    judge: JudgeConfig = JudgeConfig()
    keep: int = Field(
        3,
        ge=0,
        le=3,
        description="least adherence (0 to 3) of a response that counts; 0: all, and nobody is asked",
    )
    least: int = Field(50, ge=1, description="responses without which a role has no vector")
    layer: int | None = Field(
        None,
        ge=0,
        description="layer of headlines, counted from the first block; empty: the middle, or "
        "the published one of the model",
    )
    level: float = Field(0.95, gt=0.5, lt=1, description="confidence level of every interval")


class DriftConfig(RunConfig):
    """Checkpoints of a training along a frozen axis and along their own."""

    experiment: Literal["drift"] = "drift"
    name: str = Field("drift", pattern=RUN_NAME, description="name of the run, and of its folder")
    axis: str = Field("axis", description="name of the axis run, made on the same base")
    of: str = Field("", description="name of the grpo, sweep or dpo run whose checkpoints are measured")
    controls: Names = Field(
        (), description="runs measured beside it on the same prompts, such as an SFT on the same text"
    )
    steps: tuple[int, ...] = Field((), description="checkpoints; empty: all that were kept")
    question_limit: int | None = Field(
        48, ge=4, description="use at most so many questions; empty: all of the axis run"
    )
    samples: int = Field(
        2, ge=1, description="answers of a role to a question that count, each under another prompt"
    )
    max_tokens: int = Field(96, ge=1)
    recompute: bool = Field(True, description="make the axis anew for every checkpoint, too")
    directions: int = Field(200, ge=1, description="random directions of the control")
    resamples: int = Field(1000, ge=100, description="bootstrap over questions and roles")
    level: float = Field(0.95, gt=0.5, lt=1, description="confidence level of every interval")
