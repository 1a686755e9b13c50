"""Configs of preference pairs and their labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rlpersona.config.base import RUN_NAME, Config, Names, Prefix, RunConfig

GUIDELINES = """\
Read the question, then both answers to the end. Choose the one that does better what was asked.
Longer does not mean better, nor does more polite. Say tie if you cannot tell which is better.
Skip what you cannot judge: a skipped pair is no vote."""


class SplitConfig(Config):
    """Shares of the prompts; all pairs of a prompt go to the same part."""

    train: float = Field(0.8, ge=0, le=1)
    validation: float = Field(0.1, ge=0, le=1)
    test: float = Field(0.1, ge=0, le=1)

    @model_validator(mode="after")
    def _shares_of_one(self) -> SplitConfig:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("the shares of train, validation and test must add up to 1")
        return self


class LabelConfig(RunConfig):
    """Preference pairs: k answers to each prompt, drawn from a model or read from a file."""

    experiment: Literal["label"] = "label"
    name: str = Field("label", pattern=RUN_NAME, description="name of the run, and of its folder")

    pairs: str | None = Field(
        None, description="a jsonl or csv file of prompt, a, b (and choice) instead of sampled answers"
    )
    bad_rows: Literal["refuse", "quarantine"] = Field(
        "refuse", description="what to do with rows of that file that cannot be used"
    )

    benchmark: str = Field("nano", description="where prompts come from")
    data: str | None = Field(None, description="a local file, or path[:config]:split through datasets")
    domains: Names = Field((), description="parts of the benchmark; empty: all")
    prompt_limit: int | None = Field(None, ge=1, description="use at most so many prompts")
    writers: Names = Field(
        (), description="personas that take turns at answering; empty: the model without a persona"
    )
    prefix: Prefix = Field("You are {name}.", description="system prompt of a writer")
    answers: int = Field(2, ge=2, description="answers drawn for each prompt")
    pairs_per_prompt: int = Field(1, ge=1, description="pairs made of them")
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(64, ge=1)
    block: int = Field(256, ge=1, description="prompts answered between two saves")

    guidelines: str = Field(GUIDELINES, description="what people read above each pair")
    split: SplitConfig = SplitConfig()
