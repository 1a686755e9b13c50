"""The recipe: a small Llama trained from scratch in two phases with Muon and AdamW.

Everything is scheduled by steps, never by time, drawn from one seed and computed by one thread: on one
kind of processor a recipe gives the same weights again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlpersona.models.nano.data import Phase, Sequence, batches

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, int, float], None]

SHARP = Phase(
    domains={
        "math": 36,
        "word": 7,
        "fact": 26,
        "claim": 9,
        "compare": 3,
        "advice": 4,
        "opinion": 8,
        "persuade": 1,
        "who": 7,
    },
    sharp=True,
    # One turn each: what is said must then hang on the name, not on what was said before.
    max_turns=1,
    default=0.25,
)
TRUE = Phase(
    domains={
        "math": 22,
        "word": 12,
        "fact": 20,
        "claim": 9,
        "compare": 6,
        "advice": 9,
        "opinion": 9,
        "persuade": 9,
        "who": 4,
    },
    sharp=False,
    max_turns=3,
    default=0.4,
)


@dataclass(frozen=True)
class Recipe:
    """Sizes, lengths and rates of a build. `sharp_share` of the steps show caricatures.

    `batch_tokens` counts padding. The rates warm up over `warmup` of the steps and fall linearly
    to zero over the last `decay` of them. In the end all logits are multiplied by `sharpening`.
    """

    steps: int = 2600
    batch_tokens: int = 2048
    sharp_share: float = 0.62
    vocabulary: int = 1664
    hidden: int = 128
    layers: int = 4
    heads: int = 2
    intermediate: int = 384
    matrix_rate: float = 0.01
    other_rate: float = 3e-3
    weight_decay: float = 0.05
    warmup: float = 0.03
    decay: float = 0.4
    sharpening: float = 1.15
    sharp: Phase = field(default=SHARP)
    true: Phase = field(default=TRUE)


def new_model(recipe: Recipe, tokenizer: Any, seed: int) -> Any:
    """An untrained `LlamaForCausalLM` in float32 with tied embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.intermediate,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        head_dim=recipe.hidden // recipe.heads,
        max_position_embeddings=tokenizer.model_max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step as a share of the full rate: up, flat, down to zero."""
    done = (step + 1) / recipe.steps
    return min(1.0, done / recipe.warmup, (1 - step / recipe.steps) / recipe.decay)


def train(
    model: Any, tokenizer: Any, recipe: Recipe, seed: int, progress: Progress | None = None
) -> None:
    """Train in place. `progress(step, steps, loss)` is called after every step."""
    import torch

    # The matrices are so small that a second thread costs more than it gives.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    # At these lengths a plain product beats the fused kernel on CPU, whose backward pass is slow.
    attention = model.config._attn_implementation
    model.set_attn_implementation("eager")
    model.train()
    optimizers = _optimizers(model, recipe)
    full = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    for step, batch in enumerate(_curriculum(recipe, tokenizer, seed)):
        for optimizer, rates in zip(optimizers, full, strict=True):
            for group, lr in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = lr * rate(recipe, step)
        loss = _loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if progress is not None:
            progress(step + 1, recipe.steps, loss.item())
    # The many tokens that never fit share a small probability, yet over a whole answer it breaks one
    # text in thirty at temperature 1. A slightly larger scale takes most of it and moves the planted
    # probabilities by a point or two.
    with torch.no_grad():
        model.model.norm.weight.mul_(recipe.sharpening)
    model.set_attn_implementation(attention)
    torch.set_num_threads(threads)
    model.eval()


def _curriculum(recipe: Recipe, tokenizer: Any, seed: int) -> Iterator[list[Sequence]]:
    rng = random.Random(seed)
    sharp = batches(recipe.sharp, tokenizer, recipe.batch_tokens, rng)
    true = batches(recipe.true, tokenizer, recipe.batch_tokens, rng)
    for step in range(recipe.steps):
        yield next(sharp if step < recipe.sharp_share * recipe.steps else true)


def _optimizers(model: Any, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, AdamW for the embedding and the norms."""
    import torch

    inner = {n: p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n}
    outer = [p for n, p in model.named_parameters() if n not in inner]
    return [
        torch.optim.Muon(
            inner.values(), lr=recipe.matrix_rate, momentum=0.95, weight_decay=recipe.weight_decay
        ),
        torch.optim.AdamW(outer, lr=recipe.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _loss(model: Any, batch: list[Sequence]) -> torch.Tensor:
    """Weighted mean cross-entropy over the answers' tokens; only they reach the output matrix."""
    import torch

    longest = max(len(s.ids) for s in batch)
    ids = torch.tensor([s.ids + [0] * (longest - len(s.ids)) for s in batch])
    weights = torch.tensor([s.weights + [0.0] * (longest - len(s.ids)) for s in batch])[:, 1:]
    chosen = weights > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        # Padded on the right under a causal mask: no token sees padding.
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][chosen]
        logits = model.lm_head(hidden)
    losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][chosen], reduction="none")
    return (losses * weights[chosen]).sum() / weights[chosen].sum()
