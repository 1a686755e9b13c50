"""What every config is made of: frozen, unknown keys refused, each field with its unit and meaning."""

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
