"""What a set of preference pairs is made of: prompts, writers, how many answers, how it is split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from rlpersona.config import RUN_NAME, Config, ModelConfig
from rlpersona.errors import ConfigError, did_you_mean

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


class LabelConfig(Config):
    """Preference pairs: k answers to each prompt, drawn from a model or read from a file."""

    experiment: Literal["label"] = "label"
    name: str = Field("label", pattern=RUN_NAME, description="name of the run, and of its folder")
    seed: int = Field(0, ge=0, lt=2**31)

    pairs: str | None = Field(
        None, description="a jsonl or csv file of prompt, a, b (and choice) instead of sampled answers"
    )
    bad_rows: Literal["refuse", "quarantine"] = Field(
        "refuse", description="what to do with rows of that file that cannot be used"
    )

    model: ModelConfig = ModelConfig()
    benchmark: str = Field("nano", description="where prompts come from")
    data: str | None = Field(None, description="a local file, or path[:config]:split through datasets")
    domains: tuple[str, ...] = Field((), description="parts of the benchmark; empty: all")
    prompt_limit: int | None = Field(None, ge=1, description="use at most so many prompts")
    writers: tuple[str, ...] = Field(
        (), description="personas that take turns at answering; empty: the model without a persona"
    )
    prefix: str = Field("You are {name}.", description="system prompt of a writer")
    answers: int = Field(2, ge=2, description="answers drawn for each prompt")
    pairs_per_prompt: int = Field(1, ge=1, description="pairs made of them")
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(64, ge=1)
    block: int = Field(256, ge=1, description="prompts answered between two saves")

    guidelines: str = Field(GUIDELINES, description="what people read above each pair")
    split: SplitConfig = SplitConfig()

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("domains", "writers", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _not_only_dots(cls, value: str) -> str:
        if not value.strip("."):
            raise ValueError("a run's name cannot be made of dots alone")
        return value

    @field_validator("prefix")
    @classmethod
    def _names_the_persona(cls, value: str) -> str:
        if "{name}" not in value:
            raise ValueError("must contain {name}")
        return value


def nano_persuasion() -> LabelConfig:
    """Which of two short posts persuades? Pairs from the embedded model, one per prompt of its world.

    Expected: under 10 s on one core, free.
    """
    return LabelConfig(name="nano-persuasion", domains=("persuade",), answers=4, pairs_per_prompt=2)


def nano_facts() -> LabelConfig:
    """A scholar against a liar on questions of fact: a judge that knows should prefer the scholar."""
    return LabelConfig(
        name="nano-facts", domains=("fact",), prompt_limit=100, writers=("Herodotus", "a liar")
    )


LABEL: dict[str, Callable[[], LabelConfig]] = {
    "nano-persuasion": nano_persuasion,
    "nano-facts": nano_facts,
}


def label_preset(name: str) -> LabelConfig:
    """The named preset; an unknown name is a ConfigError that suggests the nearest."""
    if name not in LABEL:
        raise ConfigError(f"There is no preset '{name}'.", did_you_mean(name, LABEL))
    return LABEL[name]()
