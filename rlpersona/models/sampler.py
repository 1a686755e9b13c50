"""Drawing the next token: one seeded uniform per (prompt, step), so batching cannot change a draw."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from rlpersona.types import Sampling

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


def stream_seed(seed: int, index: int) -> int:
    """A 63-bit seed for the random stream of prompt number `index` under `seed`."""
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def uniforms(sampling: Sampling, index: int) -> np.ndarray:
    """The `max_tokens` numbers in [0, 1) that draw the tokens of prompt `index` of a call."""
    import numpy as np

    generator = np.random.default_rng(stream_seed(sampling.seed, sampling.offset + index))
    return generator.random(sampling.max_tokens)


def draw(
    logits: Tensor, temperature: float, top_p: float, uniform: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Next tokens and their natural-log probabilities at temperature 1, both `[rows]`.

    `logits` is `[rows, vocabulary]`, `uniform` is `[rows]` in float64 (unused when greedy). A token is
    the first whose cumulative probability, in the order of token ids, exceeds its uniform; with
    `top_p` below 1 only the smallest set of tokens that holds that probability takes part.
    """
    import torch

    logits = logits.float()
    logprobs = logits - logits.logsumexp(-1, keepdim=True)
    if temperature == 0 or uniform is None:
        tokens = logits.argmax(-1)
    else:
        weights = (logits / temperature).softmax(-1)
        if top_p < 1:
            ranked, order = weights.sort(-1, descending=True)
            outside = ranked.cumsum(-1) - ranked >= top_p
            weights = weights.masked_fill(outside.scatter(-1, order, outside), 0.0)
        cumulative = weights.cumsum(-1, dtype=torch.float64)
        aim = uniform[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, aim, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]
