"""Configs of the bandits: the search for a persona, and era x content."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from rlpersona.config.base import (
    RUN_NAME,
    Config,
    JudgeConfig,
    Names,
    Prefix,
    RunConfig,
    Sources,
    listed,
)


class ValidationConfig(Config):
    """How the winners are measured again, on questions that the search never saw."""

    questions: int = Field(400, ge=2, description="fresh questions; every persona answers all of them")
    winners: int = Field(5, ge=1, description="the policy's best personas")
    random: int = Field(10, ge=1, description="personas drawn at random, for comparison")
    baseline: bool = Field(True, description="measure no persona, too: what gains are gains over")
    controls: Annotated[tuple[Literal["empty", "nonsense"], ...], BeforeValidator(listed)] = Field(
        ("empty", "nonsense"),
        description="prefixes that name nobody: an empty name; nonsense names as long as the winners'",
    )
    margin: float = Field(
        0.03, gt=0, lt=1, description="smallest gain that matters; what lies within is equivalent"
    )
    level: float = Field(0.95, gt=0.5, lt=1, description="confidence level of every interval")


class BanditConfig(RunConfig):
    """A search for the persona that answers best: personas x questions -> rewards -> policy."""

    experiment: Literal["bandit"] = "bandit"
    name: str = Field("bandit", pattern=RUN_NAME, description="name of the run, and of its folder")

    benchmark: str = Field(
        "nano",
        description="where questions come from: nano, mmlu, gsm8k, arc, hellaswag, truthfulqa, ...",
    )
    data: str | None = Field(None, description="a local file, or path[:config]:split through datasets")
    domains: Names = Field((), description="parts of the benchmark; empty: all")
    question_limit: int | None = Field(None, ge=4, description="use at most so many questions")
    also: Sources = Field((), description="further benchmarks to search on")
    transfer: Sources = Field((), description="other benchmarks, on which what was learned is measured")
    transfer_every: int = Field(
        0, ge=0, description="rounds between two measurements on them; 0: at the end alone"
    )
    transfer_questions: int = Field(100, ge=2, description="questions of each such measurement")
    mode: Literal["likelihood", "letters", "generate"] = Field(
        "likelihood",
        description="likelihood: of each choice's text; letters: of the letter of each listed choice; "
        "generate: the letter is read from a written answer",
    )
    reward: Literal["accuracy", "probability", "judged"] = Field(
        "accuracy",
        description="accuracy: 1 if the likeliest choice is right; probability: that of the right one; "
        "judged: 1 if a judge prefers the persona's written answer to that of no persona, 1/2 for a tie",
    )
    judge: JudgeConfig = JudgeConfig()
    temperature: float = Field(0.0, ge=0, description="of written answers; 0: greedy")
    normalise: Literal["none", "tokens", "characters"] = Field(
        "none", description="divide a choice's log-likelihood by its length"
    )
    max_tokens: int = Field(256, ge=1, description="longest answer to a question without choices")

    personas: str = Field(
        "nano",
        description="nano, notable (11,298 people), or a CSV with a column name and any of field, era, "
        "birth_year, fame, description, system",
    )
    persona_limit: int | None = Field(None, ge=1, description="a seeded sample of so many personas")
    persona_sample: Literal["random", "strata", "famous", "pairs"] = Field(
        "random",
        description="how the sample is drawn: strata: equally from each field and era; famous: the best "
        "known; pairs: of two eras, matched in fame and field",
    )
    persona_groups: Names = Field(
        (), description="keep personas of these groups (nano) or fields only; empty: all"
    )
    features: Annotated[
        tuple[Literal["field", "era", "birth_year", "fame", "embedding"], ...], BeforeValidator(listed)
    ] = Field(
        ("field", "era", "birth_year", "fame"),
        description="what contextual algorithms know of a persona; embedding: of its description",
    )
    bystanders: int = Field(0, ge=0, description="unknown names added to the nano roster")
    prefix: Prefix = Field("You are {name}.", description="system prompt; {name} is the persona's name")
    duplicates: Literal["refuse", "drop"] = Field(
        "refuse", description="what to do with a repeated name"
    )

    algorithm: str = Field("reinforce", description="reinforce, thompson, halving, hierarchical, ...")
    params: dict[str, Any] = Field({}, description="parameters of the algorithm, such as params.lr=0.1")
    search: bool = Field(True, description="false: measure the baselines on fresh questions and stop")
    rounds: int = Field(60, ge=1, description="rounds of the search")
    arms_per_round: int = Field(16, ge=1, description="personas drawn in a round")
    questions_per_round: int = Field(
        8, ge=1, description="questions of a round, the same for all its personas"
    )
    in_flight: int = Field(
        1, ge=1, description="rounds asked at a time; their updates come that much later"
    )
    checkpoint_every: int = Field(10, ge=1, description="rounds between two checkpoints")

    validation: ValidationConfig = ValidationConfig()

    @property
    def measured(self) -> Literal["accuracy", "judged"]:
        """What fresh questions measure."""
        return "judged" if self.reward == "judged" else "accuracy"

    @property
    def budget(self) -> int:
        """Question evaluations that the search spends at most."""
        return self.rounds * self.arms_per_round * self.questions_per_round


class TemporalConfig(RunConfig):
    """Do people of an era answer questions of their own time better? Era x content, all with all."""

    experiment: Literal["temporal"] = "temporal"
    name: str = Field("temporal", pattern=RUN_NAME, description="name of the run, and of its folder")

    benchmark: str = Field("hellaswag", description="where questions come from: hellaswag, nano, ...")
    data: str | None = Field(None, description="a local file, or path[:config]:split through datasets")
    domains: Names = Field((), description="parts of the benchmark; empty: all")
    question_limit: int | None = Field(None, ge=4, description="use at most so many questions")
    mode: Literal["likelihood", "letters", "generate"] = Field(
        "likelihood", description="as of a bandit: likelihood of the choices, letters, or written"
    )
    normalise: Literal["none", "tokens", "characters"] = Field(
        "none", description="divide a choice's log-likelihood by its length"
    )
    max_tokens: int = Field(256, ge=1, description="longest written answer")
    temperature: float = Field(0.0, ge=0, description="of written answers; 0: greedy")
    abstain: bool = Field(False, description="add the choice 'I do not know.' to every question")

    labels: Names = Field(
        ("model",),
        min_length=1,
        description="who says what is modern: files of labels, one a rater; model: rates each question "
        "twice, asked in two ways; category, domain: what the benchmark says of itself",
    )
    modern: str = Field("modern", description="the label of questions that take modern knowledge")
    timeless: str = Field("timeless", description="the label of those that any age could answer")
    boundary: int = Field(1900, description="year at which the model, as rater, divides the two")

    personas: str = Field("notable", description="notable, or a CSV with columns name, era, fame, ...")
    persona_limit: int | None = Field(200, ge=4, description="a seeded sample of so many personas")
    persona_sample: Literal["random", "strata", "famous", "pairs"] = Field(
        "pairs", description="how the sample is drawn; pairs: of two eras, matched in fame and field"
    )
    persona_groups: Names = Field((), description="keep personas of these fields; empty: all")
    prefix: Prefix = Field("You are {name}.", description="system prompt; {name} is the persona's name")
    duplicates: Literal["refuse", "drop"] = Field(
        "refuse", description="what to do with a repeated name"
    )
    modern_eras: Names = Field(
        ("Modern", "Contemporary"), min_length=1, description="eras whose people count as modern"
    )
    earlier_eras: Names = Field((), description="eras to set against them; empty: all others")
    caliper: float = Field(
        0.5, gt=0, description="largest difference in fame within a matched pair, in standard deviations"
    )

    chunk: int = Field(10, ge=1, description="personas between two checkpoints")
    level: float = Field(0.95, gt=0.5, lt=1, description="confidence level of every interval")

    @model_validator(mode="after")
    def _two_sides(self) -> TemporalConfig:
        if self.modern.lower() == self.timeless.lower():
            raise ValueError(f"'{self.modern}' cannot be the label of both kinds of questions")
        if set(self.modern_eras) & set(self.earlier_eras):
            raise ValueError("an era cannot be modern and earlier at once")
        return self
