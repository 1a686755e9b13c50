"""How many conditions a pack may have: what one takes in memory, from the shapes of the model alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlpersona.config import GRPOConfig
from rlpersona.errors import ConfigError, ModelError
from rlpersona.models.locate import load_failure, locate
from rlpersona.models.vllm import cached_numbers
from rlpersona.training.arguments import lora_config
from rlpersona.training.start import Start

ADAM = 4  # numbers kept for each adapter weight: itself, its gradient, two moments
PROMPT = 256  # tokens that a prompt is taken to have
SHARE = 0.7  # of the free memory that may be used: the rest is for what is not counted


@dataclass(frozen=True)
class Need:
    """Bytes: what a pack takes once, and what each of its conditions adds."""

    once: int
    each: int

    def fit(self, free: int) -> int:
        """How many conditions fit into `free` bytes; at least 1."""
        return max(1, int((SHARE * free - self.once) // self.each))


def need(config: GRPOConfig, *, cuda: bool) -> Need:
    """What a pack of such trainings takes; activations are counted roughly, the rest exactly.

    Once: the base's weights, and where each condition has its own pass (CPU) the activations of one.
    Each: adapter, its gradient and Adam's moments (float32), the KV cache of a batch of completions, the
    logits that draw a token, and on a GPU, where all conditions share a pass, its activations. Where
    vLLM writes, cache and drawing are its own, in memory that `free_memory` leaves to it.
    """
    import torch

    from rlpersona.training.packed.updates import slice_groups

    net = _hollow(config)
    shape, recipe = net.config.get_text_config(), config.recipe
    auto = 2 if cuda else 4
    width = auto if config.model.dtype == "auto" else getattr(torch, config.model.dtype).itemsize
    rows = recipe.batch
    cache = rows * (PROMPT + recipe.max_completion) * cached_numbers(shape) * width
    drawing = rows * shape.vocab_size * (4 + 4 + 8)
    inner = getattr(shape, "intermediate_size", None) or 4 * shape.hidden_size
    token = shape.num_hidden_layers * (12 * shape.hidden_size + 5 * inner) * width
    prompts = slice_groups(recipe)
    passing = token * prompts * (recipe.num_generations * recipe.max_completion + PROMPT)
    weights = sum(p.numel() for p in net.parameters()) * width
    adapter = ADAM * 4 * _adapter_size(net, config)
    once, each = weights, adapter + (0 if recipe.rollouts == "vllm" else cache + drawing)
    return Need(once, each + passing) if cuda else Need(once + passing, each)


def free_memory(config: GRPOConfig, packs_at_once: int) -> int:
    """Bytes that a pack may count on, with so many on this machine at a time.

    Raises:
        ConfigError: the packs have GPUs of their own, and this machine has none to look at.
    """
    import psutil  # type: ignore[import-untyped]

    if Start(config.model).on_cuda:
        import torch

        free, total = torch.cuda.mem_get_info()
        engine = config.recipe.vllm_gpu_memory if config.recipe.rollouts == "vllm" else 0.0
        return int(free - engine * total)
    if config.recipe.gpus_per_worker:
        raise ConfigError(
            "packed=true asks for as many conditions as a GPU holds, and there is none here to look at",
            "Give a number: packed=8.",
        )
    return int(psutil.virtual_memory().available) // packs_at_once


def _hollow(config: GRPOConfig) -> Any:
    """The model without its weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        shape = AutoConfig.from_pretrained(locate(config.model.name))
    except (OSError, ValueError) as error:
        raise load_failure(config.model.name, error) from error
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(shape)


def _adapter_size(net: Any, config: GRPOConfig) -> int:
    """Weights of an adapter: rank x (inputs + outputs) of every layer that it is on."""
    import peft

    wrapped = peft.get_peft_model(net, lora_config(config.recipe.lora, net))
    found = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    if not found:
        raise ModelError("the adapter has no weights", "Give other lora.targets.")
    return int(found)
