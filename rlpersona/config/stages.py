"""Config of staged training: SFT, then DPO on AI and human labels, then an evaluation of all models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from rlpersona.config.base import RUN_NAME, Config, JudgeConfig, Names, Prefix, RunConfig, listed
from rlpersona.config.training import DPORecipe, SFTRecipe

BASE, PARENT = "base", "parent"


class DataConfig(Config):
    """Where the rows of a stage come from."""

    source: Literal["sampled", "jsonl", "label", "hh_rlhf", "ultrafeedback", "persuasionforgood"] = (
        Field(
            "sampled",
            description="sampled: answers of a model, judged here; label: RUN/ANNOTATOR of `label split`"
            "; jsonl: rows of prompt, chosen, rejected (or completion); others: files in their own form",
        )
    )
    path: str = Field("", description="the file or folder, or RUN/ANNOTATOR for label")
    limit: int | None = Field(None, ge=1, description="use at most so many rows")
    bad_rows: Literal["refuse", "quarantine"] = Field(
        "refuse", description="what to do with rows that cannot be used"
    )
    writers: Names = Field((), description="sampled: personas that take turns; empty: no persona")
    by: str = Field(
        "", description="sampled: base, or the stage above whose model writes; empty: the parent"
    )
    prompts: int | None = Field(None, ge=1, description="sampled: so many of the training prompts")
    answers: int = Field(8, ge=2, description="sampled: answers drawn for each prompt")
    groups: int = Field(
        1, ge=1, description="sampled, sft: groups of the answers, of each of which the best is a row"
    )
    pairs_per_prompt: int = Field(4, ge=1, description="sampled, dpo: pairs made of the answers")
    flips: float = Field(
        0, ge=0, lt=0.5, description="sampled, dpo: share of labels turned round, as people err"
    )
    temperature: float = Field(1.0, gt=0)
    max_tokens: int = Field(96, ge=1, description="sampled: an answer that is cut here is left out")

    def model_post_init(self, _: Any) -> None:
        """ValueError for groups too small to have a best answer."""
        if self.answers < 2 * self.groups:
            raise ValueError(
                f"answers={self.answers} make no {self.groups} groups of at least two answers"
            )


class SFTStage(Config):
    """A stage of supervised fine-tuning. Sampled data: the best answer to each prompt, by the judge."""

    method: Literal["sft"] = "sft"
    recipe: SFTRecipe = SFTRecipe()
    data: DataConfig = DataConfig()


class DPOStage(Config):
    """A stage of preference optimisation."""

    method: Literal["dpo"] = "dpo"
    recipe: DPORecipe = DPORecipe()
    data: DataConfig = DataConfig()
    reference: str = Field(
        "",
        description="the stage above whose model is the reference, base, or parent;"
        " empty: the nearest sft stage above, else the parent",
    )


Stage = Annotated[SFTStage | DPOStage, Field(discriminator="method")]


class EvaluationConfig(Config):
    """How the models are compared: every model answers every evaluation prompt."""

    prompts: int | None = Field(None, ge=2, description="evaluation prompts; empty: the share set apart")
    share: float = Field(0.5, gt=0, lt=1, description="share of the prompts that no stage trains on")
    samples: int = Field(8, ge=1, description="answers of each model to each prompt")
    temperature: float = Field(1.0, ge=0)
    max_tokens: int = Field(96, ge=1)
    oracle: str = Field(
        "", description="JSONL of prompt and answer; empty: built for nano prompts, none for others"
    )
    listwise: int = Field(
        0, ge=0, description="a judge behind an API also ranks all answers at once, in so many orders"
    )
    labels: Names = Field(
        (), description="`rlpersona label` runs on whose human labels the judge is checked"
    )
    level: float = Field(0.95, gt=0.5, lt=1, description="confidence level of every interval")


class StagesConfig(RunConfig):
    """A graph of stages from one base, and the comparison of the models that it makes.

    `graph` holds paths of stages, each begun at the base: `["sft -> rlhf", "sft -> rlaif -> rlhf"]`.
    Paths that begin alike share their beginning; a stage's model is called by its whole path,
    `sft-rlaif-rlhf`.
    """

    experiment: Literal["dpo"] = "dpo"
    name: str = Field("dpo", pattern=RUN_NAME, description="name of the run, and of its folder")

    benchmark: str = Field("nano", description="where prompts come from")
    data: str | None = Field(None, description="a local file, or path[:config]:split through datasets")
    domains: Names = Field(("persuade",), description="parts of the benchmark; empty: all")
    prompt_limit: int | None = Field(None, ge=4, description="use at most so many prompts")
    prefix: Prefix = Field("You are {name}.", description="system prompt of a writer")
    graph: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(("sft -> dpo",), min_length=1)
    stages: dict[str, Stage] = Field(
        {}, description="settings by stage; a stage without any is SFT if it is called sft, else DPO"
    )
    side_by_side: int = Field(2, ge=1, description="stages at work at once, where CPUs and GPUs allow")
    axis: str = Field("", description="an axis run beside this one, along which DPO stages are logged")
    judge: JudgeConfig = JudgeConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @field_validator("graph")
    @classmethod
    def _paths(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for path in value:
            names = [name.strip() for name in path.split("->")]
            if not all(name.isidentifier() for name in names) or {BASE, PARENT} & {*names}:
                raise ValueError(f"'{path}' is no path of stages such as 'sft -> rlhf'")
        return tuple(" -> ".join(name.strip() for name in path.split("->")) for path in value)

    @field_validator("stages", mode="before")
    @classmethod
    def _methods(cls, value: Any) -> Any:
        """A stage's method follows from its name where it is not said."""
        if not isinstance(value, Mapping):
            return value
        return {
            name: {"method": plain_stage(name).method, **stage} if isinstance(stage, Mapping) else stage
            for name, stage in value.items()
        }

    def model_post_init(self, _: Any) -> None:
        """Give every stage of the graph its settings; drop others that nobody has touched."""
        named = dict.fromkeys(name for path in self.graph for name in path.split(" -> "))
        kept = {name: stage for name, stage in self.stages.items() if stage != plain_stage(name)}
        known = {name: self.stages.get(name, plain_stage(name)) for name in named}
        object.__setattr__(self, "stages", known | kept)  # frozen for everybody else


def plain_stage(name: str) -> SFTStage | DPOStage:
    """A stage with the settings that it has if none are given."""
    return SFTStage() if name == "sft" else DPOStage()
