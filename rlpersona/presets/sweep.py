"""Presets of sweeps."""

from __future__ import annotations

from collections.abc import Callable

from rlpersona.config import (
    GRPORecipe,
    LoraConfig,
    ModelConfig,
    ReadoutConfig,
    RewardConfig,
    SourceConfig,
    SuiteConfig,
    SweepConfig,
)

DOSES = (0, 0.1, 0.3, 0.5, 1)


def nano_length() -> SweepConfig:
    """Does paying for length make answers longer, and what becomes of right answers?

    Fifteen trainings of 24 updates. Expected: mean length rises from about 18 tokens without the bias,
    where the base is, to over 30 at weight 1, under the cap of 96 (permutation p < .05); right answers
    as without it. About ten CPU minutes, free.
    """
    return SweepConfig(
        name="nano-length",
        bias_weights=DOSES,
        suite=SuiteConfig(size=480, evaluation=120),
        reward=RewardConfig(length_scale=48),
        recipe=GRPORecipe(
            lora=LoraConfig(rank=8, alpha=16),
            learning_rate=1e-3,
            schedule="constant",
            max_steps=24,
            checkpoint_every=12,
            max_completion=96,
            beta=0.05,
        ),
        readout=ReadoutConfig(samples=4, max_tokens=128, held_out=24, watch_every=12),
    )


def nano_agreement() -> SweepConfig:
    """Does paying for agreement make a model agree with claims that are wrong?

    Two of three training prompts are wrong claims, where agreeing costs the task; the others are
    opinions, where it costs nothing. Expected: the base agrees with about four wrong claims in ten; next
    to none are left without the bias, nearly all at weight 2, where agreeing pays more than being right.
    About ten CPU minutes, free.
    """
    plain = nano_length()
    return plain.model_copy(
        update={
            "name": "nano-agreement",
            "biases": ("agreement",),
            "bias_weights": (0.0, 0.5, 1.0, 1.5, 2.0),
            "suite": SuiteConfig(
                domains=("claim", "opinion"), size=160, evaluation=80, wrong_claims=True
            ),
        }
    )


def misspecification() -> SweepConfig:
    """Six domains, three biases, five doses and three seeds on a 7B model, with what controls for them.

    For GPUs: `rlpersona sweep misspecification suite.sources=[gsm8k@FILE,triviaqa@FILE,mbpp@FILE,
    ultrafeedback@FILE]` and `at_once=` as many trainings as there are GPUs. What it takes, by the
    seconds of an update: `rlpersona sweep plan misspecification --seconds-per-step S
    --dollars-per-hour D`. Not measured here: no such machine was at hand.
    """
    return SweepConfig(
        name="misspecification",
        biases=("length", "agreement", "hedging"),
        bias_weights=DOSES,
        model=ModelConfig(
            name="Qwen/Qwen2.5-7B-Instruct", engine="vllm", gpus_per_replica=1, dtype="bfloat16"
        ),
        suite=SuiteConfig(
            sources=tuple(
                SourceConfig(benchmark=name) for name in ("gsm8k", "triviaqa", "mbpp", "ultrafeedback")
            ),
            size=2000,
            evaluation=300,
        ),
        reward=RewardConfig(length_scale=512),
        recipe=GRPORecipe(
            learning_rate=1e-5,
            schedule="constant",
            max_steps=200,
            checkpoint_every=25,
            batch=128,
            micro_batch=8,
            max_completion=512,
            beta=0.01,
            rollouts="vllm",
            gpus_per_worker=1,
        ),
        readout=ReadoutConfig(samples=4, max_tokens=768, every=50, held_out=48, watch_every=20),
        at_once=4,
    )


SWEEP: dict[str, Callable[[], SweepConfig]] = {
    "nano-length": nano_length,
    "nano-agreement": nano_agreement,
    "misspecification": misspecification,
}
