"""Attention over a flat sequence of many texts, as transformers calls it.

Registered under `NAME`; what it does is set by `during(reader)`: how the keys and values of this pass
are kept, and what each token may look at. Everything else in a model is left as it is, so this serves
every family of transformers that takes its attention from the registry and gives it no more than a mask,
a scale, a sliding window and a soft cap of the scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from rlpersona.errors import ModelError
from rlpersona.training.packed.layout import Block, Layout

NAME = "rlpersona-packed"
OTHER_HEADS = ("summary_", "classifier_")  # before settings that a language model does not read


class Reader(Protocol):
    """How one layer attends: q `(N, H, D)`, k and v `(N, H', D)` to `(N, H, D)`."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, look: Look) -> Tensor:
        """The attended values."""
        ...


class Look:
    """A layer's scale, sliding window and soft cap, and attention `(B, H, Q, D)` under them."""

    def __init__(self, scale: float, window: int | None, cap: float | None) -> None:
        self.scale, self.window, self.cap = scale, window, cap

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Tensors `(B, slots, heads, D)`; `mask` is additive, of their dtype; None: plainly causal."""
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if (share := q.shape[1] // k.shape[1]) > 1:
            k, v = (x.repeat_interleave(share, dim=1) for x in (k, v))
        if self.cap is None:
            out = scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None, scale=self.scale)
            return out.transpose(1, 2)
        scores = torch.tanh(q @ k.transpose(2, 3) * self.scale / self.cap) * self.cap
        if mask is None:
            size = q.shape[2]
            mask = q.new_full((size, size), -torch.inf).triu(1)
        weights = (scores.float() + mask).softmax(-1).to(q.dtype)
        return (weights @ v).transpose(1, 2)


class Pass:
    """Attention within the blocks of a layout; `keep` is told the keys and values of every layer."""

    def __init__(self, layout: Layout, keep: Any = None) -> None:
        self._layout, self._keep = layout, keep

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor, look: Look) -> Tensor:
        """See `Reader`."""
        blocks = self._layout.blocks
        out = [self._within(layer, block, q, k, v, look) for block in blocks]
        return out[0] if len(out) == 1 else torch.cat(out)

    def _within(self, layer: int, block: Block, q: Tensor, k: Tensor, v: Tensor, look: Look) -> Tensor:
        (groups, width), (rows, room) = block.prompts, block.completions
        own = slice(block.begin, block.end)
        heads = q.shape[1]
        ahead = groups * width
        parts = []
        for x in (q, k, v):
            slots = _moved(x[own].flatten(1), block.take, block.back, idle=block.idle)
            parts.append(
                (
                    slots[:ahead].view(groups, width, *x.shape[1:]),
                    slots[ahead:].view(rows, room, *x.shape[1:]),
                )
            )
        (q1, q2), (k1, k2), (v1, v2) = parts
        if self._keep is not None:
            self._keep(layer, block, k1, v1)
        among, after = block.masks(look.window, q.dtype)
        found = [look(q1, k1, v1, among).reshape(ahead, -1)]
        if rows:
            k3, v3 = (torch.cat([_spread(a, block), b], 1) for a, b in ((k1, k2), (v1, v2)))
            found.append(look(q2, k3, v3, after).reshape(rows * room, -1))
        if block.idle:
            found.append(found[0].new_zeros(1, found[0].shape[1]))
        slots = torch.cat(found)
        out = _moved(slots, block.back, block.take, block.real, idle=block.idle)
        return out.view(-1, heads, q.shape[2])


def _spread(prompts: Tensor, block: Block) -> Tensor:
    """The keys of each completion's prompt; the gradient adds up over the completions of a prompt."""
    if block.each is None:
        return prompts[block.group]
    return prompts[:, None].expand(-1, block.each, *prompts.shape[1:]).flatten(0, 1)


class _Move(torch.autograd.Function):
    """Rows `at` of a table, where every row of the table is taken at most once.

    `back` is the way back. Rows of the result that are padding are 0 in `real`, if that is given; `idle`
    says that rows of the table are taken by none. It spares the scatter-add that autograd would do,
    which is slow on CPU and unordered on a GPU.
    """

    @staticmethod
    def forward(
        ctx: Any, table: Tensor, at: Tensor, back: Tensor, real: Tensor | None, idle: bool
    ) -> Tensor:
        ctx.back, ctx.real, ctx.idle, ctx.rows = back, real, idle, len(table)
        return table.index_select(0, at)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        nothing = grad.new_zeros(1, grad.shape[1])
        if ctx.real is None:  # from tokens to slots: an idle token has none
            grad = torch.cat([grad, nothing]) if ctx.idle else grad
            return grad.index_select(0, ctx.back), None, None, None, None
        found = grad.index_select(0, ctx.back) * ctx.real.to(grad.dtype)
        return torch.cat([found, nothing]) if ctx.idle else found, None, None, None, None


def _moved(
    table: Tensor, at: Tensor, back: Tensor, real: Tensor | None = None, *, idle: bool = False
) -> Tensor:
    found: Tensor = _Move.apply(table, at, back, real, idle)  # type: ignore[no-untyped-call]
    return found


_reader: ContextVar[Reader] = ContextVar("reader")


@contextmanager
def during(reader: Reader) -> Iterator[None]:
    """Attention is what `reader` says while the block works, in this thread."""
    token = _reader.set(reader)
    try:
        yield
    finally:
        _reader.reset(token)


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, _mask: Any = None, **given: Any
) -> tuple[Tensor, None]:
    """What transformers calls: tensors `(1, heads, N, D)` to `(1, N, heads, D)`."""
    if given.get("s_aux") is not None or given.get("position_bias") is not None:
        raise ModelError(
            f"{type(module).__name__} attends in a way that packs do not know (sinks, biases)",
            "Train it unpacked: packed=false.",
        )
    scale = given.get("scaling") or query.shape[-1] ** -0.5
    window = given.get("sliding_window") or getattr(module, "sliding_window", None)
    look = Look(scale, window, given.get("softcap"))
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
    return _reader.get()(module.layer_idx, q, k, v, look)[None], None


def prepare(net: Any) -> None:
    """Make a transformers model attend by `during`; it is of no use outside of it afterwards.

    Raises:
        ModelError: attention that cannot be replaced, or dropout in the model itself: its draws would be
            one stream for all conditions.
    """
    from transformers import AttentionInterface

    if rates := _dropout(net.config.get_text_config().to_dict()):
        raise ModelError(
            f"{type(net).__name__} has dropout of its own ({rates}), which packs do not know",
            "Set it to 0 in the model's config.json, or train it unpacked: packed=false.",
        )
    AttentionInterface.register(NAME, attend)
    try:
        net.set_attn_implementation(NAME)
    except ValueError as error:
        raise ModelError(
            f"{type(net).__name__} does not let its attention be replaced: {error}",
            "Train it unpacked: packed=false.",
        ) from error


def _dropout(config: dict[str, Any]) -> str:
    """The rates in a config that are not 0, but for those of other heads."""
    return ", ".join(
        f"{name}={rate}"
        for name, rate in config.items()
        if "drop" in name and isinstance(rate, float) and rate and not name.startswith(OTHER_HEADS)
    )
