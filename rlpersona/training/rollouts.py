"""Which prompts a GRPO training asks, in which order, and who writes the completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from rlpersona.config.training import GRPORecipe
from rlpersona.errors import ModelError
from rlpersona.models.vllm import import_vllm
from rlpersona.tasks.identity import unit
from rlpersona.training.start import Start
from rlpersona.types import Question

CPU_CACHE = 2**26  # bytes of vLLM's KV cache on CPU
BLOCK = 32  # tokens of a block of that cache


def prompt_order(questions: Sequence[Question], count: int, seed: int) -> list[int]:
    """`count` positions in `questions`: domains in turn, and each domain's prompts in passes.

    Every pass over a domain has an order of its own, drawn by `seed` from the content alone. Domains of
    different size get the same number of turns, so the smaller ones come round more often.
    """
    domains = sorted({question.domain for question in questions})
    passes = {
        domain: _passes([i for i, q in enumerate(questions) if q.domain == domain], questions, seed)
        for domain in domains
    }
    return [next(passes[domains[turn % len(domains)]]) for turn in range(count)]


def _passes(positions: list[int], questions: Sequence[Question], seed: int) -> Iterator[int]:
    number = 0
    while True:
        yield from sorted(positions, key=lambda i: unit("prompt order", seed, number, questions[i].id))
        number += 1


def rollout_arguments(recipe: GRPORecipe, start: Start) -> dict[str, Any]:
    """What TRL is told about vLLM; nothing where transformers writes the completions.

    Raises:
        ModelError: vLLM in server mode without a GPU: weights reach the server by NCCL.
    """
    if recipe.rollouts == "hf":
        return {}
    if recipe.vllm_mode == "server":
        if not start.on_cuda:
            raise ModelError(
                "vllm_mode=server sends the weights by NCCL, which needs a GPU",
                "Use vllm_mode=colocate here.",
            )
        return {
            "use_vllm": True,
            "vllm_mode": "server",
            "vllm_server_base_url": recipe.vllm_server,
        }
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": recipe.vllm_gpu_memory,
        "vllm_max_model_length": start.model.window,
    }


@contextmanager
def rollout_engine(recipe: GRPORecipe, start: Start) -> Iterator[None]:
    """Where vLLM runs on CPU inside this process: the settings that TRL does not pass on.

    In float32, so that text is written by the weights that are trained. oneDNN is switched off because
    it packs the weights at load time, after which updates would not reach them.
    """
    if recipe.rollouts == "hf" or start.on_cuda:
        yield
        return
    vllm = import_vllm(cpu=True)
    import trl.generation.vllm_generation as generation
    from vllm import _custom_ops

    engine = partial(
        vllm.LLM,
        dtype="float32",
        enforce_eager=True,
        kv_cache_memory_bytes=CPU_CACHE,
        block_size=BLOCK,
        use_tqdm_on_load=False,
    )
    with replaced(generation, "LLM", engine), replaced(_custom_ops, "_supports_onednn", False):
        yield


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A module with another value under that name while the block works."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
