"""A base with stacked adapters: hidden states of a pass, and log-probabilities of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlpersona.training.packed import attention
from rlpersona.training.packed.layout import Group, Layout, lay_out
from rlpersona.training.packed.stack import Pass, Stack

CHUNK = 2**24  # logits in memory at once


@dataclass
class Network:
    """One base, the adapters of all conditions, and how passes are laid out on this device."""

    net: Any
    stack: Stack
    temperature: float
    together: bool = False

    @property
    def device(self) -> Any:
        """Where the base is."""
        return next(self.net.parameters()).device

    def layout(self, conditions: Sequence[tuple[int, Sequence[Group]]]) -> Layout:
        """The tokens of some conditions as one sequence."""
        return lay_out(conditions, self.device, self.together)

    def hidden(
        self, ids: Tensor, positions: Tensor, here: Pass | None, reader: attention.Reader
    ) -> Tensor:
        """The last hidden states (N, d) of N tokens; `here` None: of the base alone."""
        with self.stack.on(here), attention.during(reader):
            out = self.net.base_model(input_ids=ids[None], position_ids=positions[None], use_cache=False)
        state: Tensor = out.last_hidden_state[0]
        return state

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (N, vocabulary) in float32, at temperature 1."""
        head = self.net.get_output_embeddings()
        raw = torch.nn.functional.linear(hidden, head.weight, head.bias).float()
        return self.shaped(raw)[0]

    def shaped(self, raw: Tensor) -> tuple[Tensor, Tensor | float]:
        """What a family makes of its head's output, and the derivative of that."""
        config = self.net.config.get_text_config()
        scale = logit_scale(config)
        cap = getattr(config, "final_logit_softcapping", None)
        if scale != 1.0:
            raw = raw * scale
        if cap is None:
            return raw, scale
        bent = torch.tanh(raw / cap)
        return bent * cap, (1 - bent**2) * scale

    def logps(
        self, layout: Layout, here: Pass | None, entropy: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Log-probabilities (nats) of the layout's tokens at `temperature`, and entropies if asked."""
        hidden = self.hidden(layout.ids, layout.positions, here, attention.Pass(layout))
        found: tuple[Tensor, Tensor] = _Logps.apply(  # type: ignore[no-untyped-call]
            hidden[layout.at], layout.labels, self, entropy
        )
        return found[0], found[1] if entropy else None


class _Logps(torch.autograd.Function):
    """Log-probabilities of tokens, and entropies if asked; never holds more than a chunk of logits.

    The gradient of log p(label) by the hidden state, `(W[label] - sum_v p_v W_v) / T`, is made on the
    way forward and kept: one vector a token instead of one logit for each word of the vocabulary.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, labels: Tensor, network: Network, entropy: bool
    ) -> tuple[Tensor, Tensor]:
        head = network.net.get_output_embeddings()
        weight, warmth = head.weight, network.temperature
        logps, entropies = (torch.empty(len(hidden), device=hidden.device) for _ in range(2))
        slope = torch.empty_like(hidden) if hidden.requires_grad else None
        step = max(1, CHUNK // len(weight))
        for at in range(0, len(hidden), step):
            own = slice(at, at + step)
            raw = torch.nn.functional.linear(hidden[own], weight, head.bias).float()
            logits, derivative = network.shaped(raw)
            scores = (logits if warmth == 1.0 else logits / warmth).log_softmax(-1)
            wanted = labels[own]
            logps[own] = scores.gather(1, wanted[:, None])[:, 0]
            if slope is None and not entropy:
                continue
            p = scores.exp()
            entropies[own] = -torch.linalg.vecdot(p, scores)
            if slope is not None:
                slope[own] = _slope(p, wanted, weight, derivative, warmth)
        ctx.save_for_backward(slope)
        ctx.mark_non_differentiable(entropies)
        return logps, entropies

    @staticmethod
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return g[:, None].to(slope.dtype) * slope, None, None, None


def _slope(
    p: Tensor, labels: Tensor, weight: Tensor, derivative: Tensor | float, temperature: float
) -> Tensor:
    """The gradient of log p(label) by the hidden state."""
    if isinstance(derivative, float):
        own = torch.addmm(weight[labels], p.to(weight.dtype), weight, alpha=-1)
        return own if derivative == temperature else own.mul_(derivative / temperature)
    pull = p.neg_().scatter_add_(1, labels[:, None], torch.ones_like(p[:, :1])) * derivative
    return pull.to(weight.dtype) @ weight / temperature


def logit_scale(config: Any) -> float:
    """What a family multiplies its logits with (as TRL's fused head reads it from the config)."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if (value := getattr(config, name, None)) is not None:
            return float(value)
    scaling = getattr(config, "logits_scaling", None)
    if scaling is None:
        return 1.0
    return float(scaling) if config.model_type == "hyperclovax" else 1 / float(scaling)
