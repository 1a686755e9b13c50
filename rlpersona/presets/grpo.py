"""Presets of GRPO trainings, and the suites of prompts that they and the sweeps draw from."""

from __future__ import annotations

from collections.abc import Callable

from rlpersona.config import (
    GRPOConfig,
    GRPORecipe,
    LoraConfig,
    ModelConfig,
    ReadoutConfig,
    SourceConfig,
    SuiteConfig,
)

GSM8K = "openai/gsm8k:main:train"


def nano_math() -> GRPOConfig:
    """Sums and word problems of the nano world, rewarded for right answers alone.

    Expected: right answers to held-out sums and stories up by 15 points or more (from 45 to 67 % at one
    seed), a few minutes on two cores, free.
    """
    return GRPOConfig(
        name="nano-math",
        suite=SuiteConfig(domains=("math", "word"), size=1600, evaluation=264),
        recipe=GRPORecipe(
            full=True,
            learning_rate=5e-4,
            max_steps=60,
            max_completion=64,
            checkpoint_every=20,
        ),
        readout=ReadoutConfig(max_tokens=64, held_out=96, watch_every=10),
    )


def gsm8k_gemma() -> GRPOConfig:
    """GSM8K with gemma-2-2b-it: an adapter of rank 16, completions by transformers.

    Expected: a few points more on held-out problems, some hours on one GPU of 24 GB; not measured here.
    """
    return GRPOConfig(
        name="gsm8k-gemma",
        model=ModelConfig(name="google/gemma-2-2b-it", gpus_per_replica=1),
        suite=gsm8k(),
        recipe=GRPORecipe(
            lora=LoraConfig(rank=16, alpha=32),
            learning_rate=1e-5,
            warmup=0.05,
            clip=0.2,
            batch=64,
            micro_batch=8,
            num_generations=8,
            max_completion=384,
            max_steps=300,
            beta=0.02,
            gpus_per_worker=1,
        ),
        readout=ReadoutConfig(max_tokens=384, every=100, watch_every=25, held_out=64),
    )


def gsm8k_qwen() -> GRPOConfig:
    """GSM8K with Qwen2.5-7B-Instruct: an adapter, completions by vLLM on the GPU that trains.

    Expected: a few points more on held-out problems, hours on one GPU of 80 GB; not measured here.
    """
    plain = gsm8k_gemma()
    return plain.model_copy(
        update={
            "name": "gsm8k-qwen",
            "model": ModelConfig(
                name="Qwen/Qwen2.5-7B-Instruct", engine="vllm", gpus_per_replica=1, window=2048
            ),
            "recipe": plain.recipe.model_copy(
                update={
                    "rollouts": "vllm",
                    "vllm_gpu_memory": 0.4,
                    "batch": 128,
                    "micro_batch": 4,
                    "max_completion": 768,
                }
            ),
            "readout": plain.readout.model_copy(update={"max_tokens": 768}),
        }
    )


def gsm8k() -> SuiteConfig:
    """Training problems of GSM8K, of which 400 are set apart."""
    source = SourceConfig(benchmark="gsm8k", data=GSM8K)
    return SuiteConfig(domains=("math",), sources=(source,), size=7000, evaluation=400)


def dev_suite() -> SuiteConfig:
    """60 prompts of six domains of the hub to train on, 60 to evaluate on: does everything run?"""
    return full_suite().model_copy(update={"size": 60, "evaluation": 60})


def full_suite() -> SuiteConfig:
    """2,000 prompts of six domains of the hub, and 300 to evaluate on.

    Math (GSM8K), factual (TriviaQA, Natural Questions), coding (MBPP, HumanEval), and advice, opinion
    and creative prompts as the wording of UltraFeedback's and HH-RLHF's tells them apart.
    """
    sources = (
        SourceConfig(benchmark="gsm8k", data=GSM8K),
        SourceConfig(benchmark="triviaqa"),
        SourceConfig(benchmark="nq_open"),
        SourceConfig(benchmark="mbpp", data="google-research-datasets/mbpp:full:train+test"),
        SourceConfig(benchmark="humaneval"),
        SourceConfig(benchmark="ultrafeedback"),
        SourceConfig(benchmark="hh_rlhf"),
    )
    return SuiteConfig(sources=sources, size=2000, evaluation=300)


GRPO: dict[str, Callable[[], GRPOConfig]] = {
    "nano-math": nano_math,
    "gsm8k-gemma": gsm8k_gemma,
    "gsm8k-qwen": gsm8k_qwen,
}
SUITES: dict[str, Callable[[], SuiteConfig]] = {"dev": dev_suite, "full": full_suite}
