"""Every config class: frozen, unknown keys refused, each field with its unit and meaning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

GUIDELINES = """\
Read the question, then both answers to the end. Choose the one that does better what was asked.
Longer does not mean better, nor does more polite. Say tie if you cannot tell which is better.
Skip what you cannot judge: a skipped pair is no vote."""

RUN_NAME = r"^[A-Za-z0-9._-]{1,64}$"


def listed(value: Any) -> Any:
    """`"a, b"` as `("a", "b")`: a list may be written as one word on the command line."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def names_the_persona(prefix: str) -> str:
    """The prefix, in which the persona's name must have a place."""
    if "{name}" not in prefix:
        raise ValueError("must contain {name}")
    return prefix


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
Prefix = Annotated[str, AfterValidator(names_the_persona)]


class Config(BaseModel):
    """Base of all configs: values cannot change after construction, misspelt keys do not pass."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class ModelConfig(Config):
    """Which language model, on which engine, in how many replicas."""

    name: str = Field(
        "nano", description="'nano', a folder, or a hub name such as Qwen/Qwen2.5-7B-Instruct"
    )
    engine: Literal["hf", "vllm"] = Field("hf", description="transformers or vLLM")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: float32 on CPU, bfloat16 on a GPU"
    )
    batch_tokens: int = Field(16384, ge=64, description="padded tokens in one forward pass (HF engine)")
    window: int | None = Field(
        None, ge=32, description="longest prompt and answer together, in tokens; empty: the model's own"
    )
    gpu_memory: float = Field(0.85, gt=0, le=1, description="share of GPU memory that vLLM takes")
    replicas: int = Field(1, ge=1, description="model replicas, each a Ray actor")
    cpus_per_replica: float = Field(1, ge=0)
    gpus_per_replica: float = Field(0, ge=0)
    chunk: int = Field(256, ge=1, description="prompts sent to a replica at a time; fixes the batches")
    max_restarts: int = Field(3, ge=0, description="dead replicas replaced before the run stops")


class RunConfig(Config):
    """What every experiment has: the name of its run folder, a seed, a language model."""

    name: str = Field("run", pattern=RUN_NAME, description="name of the run, and of its folder")
    seed: int = Field(0, ge=0, lt=2**31)
    model: ModelConfig = ModelConfig()

    @field_validator("model", mode="before")
    @classmethod
    def _model_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @field_validator("name")
    @classmethod
    def _not_only_dots(cls, value: str) -> str:
        if not value.strip("."):
            raise ValueError("a run's name cannot be made of dots alone")
        return value


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


class SourceConfig(Config):
    """Questions of one benchmark. Written as text: `hellaswag@hellaswag.json.gz`, `nano/fact+word`."""

    benchmark: str = Field(description="where questions come from: nano, gsm8k, hellaswag, ...")
    data: str | None = Field(None, description="a local file, or path[:config]:split through datasets")
    domains: Names = Field((), description="parts of the benchmark; empty: all")
    question_limit: int | None = Field(None, ge=4, description="use at most so many questions")
    normalise: Literal["none", "tokens", "characters"] | None = Field(
        None, description="divide a choice's log-likelihood by its length; empty: as the run does"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        head, _, data = value.partition("@")
        benchmark, _, domains = head.partition("/")
        return {
            "benchmark": benchmark,
            "data": data or None,
            "domains": tuple(domains.split("+")) if domains else (),
        }

    @property
    def label(self) -> str:
        """Its name in tables: the benchmark, and the domains if they were chosen."""
        return "/".join([self.benchmark, *(["+".join(self.domains)] if self.domains else [])])


class JudgeConfig(Config):
    """Who decides between two answers, and what it may cost."""

    by: Literal["rules", "openai", "anthropic"] = Field(
        "rules", description="rules over the nano world, or a model behind an API"
    )
    model: str = Field("", description="the judging model's name at its provider")
    base_url: str = Field("", description="another server that speaks the provider's protocol")
    both_orders: bool = Field(True, description="ask with either answer first; where they differ: a tie")
    max_cost: float | None = Field(None, ge=0, description="stop before this many dollars")
    requests_per_minute: float | None = Field(None, gt=0)
    tokens_per_minute: float | None = Field(None, gt=0)
    prices: str | None = Field(None, description="YAML file of prices by model")


Sources = Annotated[tuple[SourceConfig, ...], BeforeValidator(listed)]


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
