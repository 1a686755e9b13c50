"""LoRA adapters of several conditions, stacked beside the frozen linear layers of one base.

Each layer has A `(K, r, d_in)` and B `(K, d_out, r)`; a token of condition k gets
`W x + alpha / r * B_k A_k x` (Hu et al. 2021, arXiv:2106.09685, section 4.1). All of a condition's
weights lie in one row of one matrix, and so do their gradients: clipping is a norm of a row, Adam is
elementwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rlpersona.config.training import LoraConfig
from rlpersona.models.adapters import WEIGHTS
from rlpersona.models.lineage import Lineage, write_lineage
from rlpersona.training.arguments import lora_config
from rlpersona.training.checkpoints import whole_folder
from rlpersona.training.fit import name_base
from rlpersona.training.packed.layout import Span

PREFIX = "base_model.model."  # of a module's name inside PEFT


@dataclass
class Pass:
    """Whose tokens lie where in a pass.

    `batched`: as one matrix product over groups of the same size, for devices that like few large
    operations; else condition by condition, with results that do not depend on who else is there.
    `dropout` has a random stream for each condition of the pass, or is empty where nothing is dropped.
    """

    spans: Sequence[Span]
    batched: bool = False
    dropout: dict[int, torch.Generator] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sizes = {end - begin for _, begin, end in self.spans}
        self.batched = self.batched and len(sizes) == 1


class Stack:
    """The adapters of `seeds`, one condition each, on the linear layers of `net` that `config` names.

    The weights at the start are those that PEFT draws after `set_seed(seed)`, bit for bit.
    """

    def __init__(self, net: Any, config: LoraConfig, seeds: Sequence[int], device: str = "cpu") -> None:
        self.count = len(seeds)
        self.rate = config.dropout
        self.now: Pass | None = None
        self._peft, first = _drawn(net, config, seeds)
        net.to(device)
        shapes = {name: value.shape for name, value in first[seeds[0]].items()}
        self.names = sorted(shapes)
        sizes = [shapes[name].numel() for name in self.names]
        self.weights = torch.zeros(self.count, sum(sizes), device=device)
        self.grads = torch.zeros_like(self.weights)
        self._places = {}
        begin = 0
        for name, size in zip(self.names, sizes, strict=True):
            self._places[name] = (begin, begin + size, shapes[name])
            for k, seed in enumerate(seeds):
                self.weights[k, begin : begin + size] = first[seed][name].flatten().to(device)
            begin += size
        for name in [name for name in self.names if ".lora_A." in name]:
            place = name.removeprefix(PREFIX).removesuffix(".lora_A.weight")
            parent, _, child = place.rpartition(".")
            base = net.get_submodule(place)
            scale = config.alpha / config.rank
            up = name.replace(".lora_A.", ".lora_B.")
            layer = Stacked(self, base, self.views(name), self.views(up), scale)
            setattr(net.get_submodule(parent), child, layer)

    @property
    def size(self) -> int:
        """Trainable weights of one condition."""
        return self.weights.shape[1]

    def views(self, name: str) -> tuple[Tensor, Tensor]:
        """A tensor of all conditions, and its gradient."""
        begin, end, shape = self._places[name]
        return tuple(x[:, begin:end].view(self.count, *shape) for x in (self.weights, self.grads))  # type: ignore[return-value]

    def tensors(self, condition: int) -> dict[str, Tensor]:
        """A condition's adapter by PEFT's names."""
        return {name: self.views(name)[0][condition].contiguous() for name in self.names}

    @contextmanager
    def on(self, here: Pass | None) -> Iterator[None]:
        """The adapters of a pass are on while the block works; None: all are off."""
        before, self.now = self.now, here
        try:
            yield
        finally:
            self.now = before

    def hash(self, condition: int) -> str:
        """As `fit.adapter_hash` of a PEFT model with these weights."""
        digest = hashlib.sha256()
        for name, value in sorted(_named(self.tensors(condition)).items()):
            digest.update(name.encode())
            digest.update(value.float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def save(self, condition: int, folder: Path, lineage: Lineage) -> None:
        """Write a condition's adapter as PEFT would, with its lineage, whole or not at all."""
        from safetensors.torch import save_file

        with whole_folder(folder) as made:
            self._peft.save_pretrained(str(made))
            tensors = {name: value.cpu() for name, value in self.tensors(condition).items()}
            save_file(tensors, made / WEIGHTS, metadata={"format": "pt"})
            name_base(made, lineage.base)
            write_lineage(made, lineage)


class Stacked(nn.Module):
    """A frozen linear layer and the adapters beside it."""

    def __init__(
        self,
        stack: Stack,
        base: Any,
        down: tuple[Tensor, Tensor],
        up: tuple[Tensor, Tensor],
        scale: float,
    ) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        self.base = base
        self._stack = (stack,)  # in a tuple: no part of this module
        self.weight = base.weight.T if isinstance(base, Conv1D) else base.weight
        self.adapters = (down, up)
        self.turned = [(a.T, b.T) for a, b in zip(down[0], up[0], strict=True)]
        self.scale = scale
        self._leaf = torch.zeros(
            (), device=base.weight.device, requires_grad=True
        )  # makes autograd visit a first layer

    def forward(self, x: Tensor) -> Tensor:
        """`(..., d_in)` to `(..., d_out)`, the tokens in the order of the pass."""
        here = self._stack[0].now
        if here is None:
            return linear(x, self.weight, self.base.bias)
        flat = x.reshape(-1, x.shape[-1])
        if not torch.is_grad_enabled():
            plain = linear(flat, self.weight, self.base.bias)
            add_adapters(plain, flat, self, here)
            return plain.view(*x.shape[:-1], -1)
        keep = _kept(flat, here, self._stack[0].rate) if here.dropout else None
        out: Tensor = _Linear.apply(flat, self._leaf, keep, self, here)  # type: ignore[no-untyped-call]
        return out.view(*x.shape[:-1], -1)


class _Linear(torch.autograd.Function):
    """Base and adapters at once; gradients of the adapters go straight to their place in the stack."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, _leaf: Tensor, keep: Tensor | None, layer: Stacked, here: Pass
    ) -> Tensor:
        y = linear(x, layer.weight, layer.base.bias)
        inner = x if keep is None else x * keep
        h = add_adapters(y, inner, layer, here)
        ctx.layer, ctx.here = layer, here
        ctx.save_for_backward(x, keep, *h)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, keep, *h = ctx.saved_tensors
        layer, here = ctx.layer, ctx.here
        inner = x if keep is None else x * keep
        if not ctx.needs_input_grad[0]:
            add_gradients(None, g, inner, h, layer, here)
            return None, None, None, None, None
        dx = g @ layer.weight
        if keep is None:
            add_gradients(dx, g, inner, h, layer, here)
            return dx, None, None, None, None
        kept = torch.zeros_like(dx)
        add_gradients(kept, g, inner, h, layer, here)
        return dx.addcmul_(kept, keep), None, None, None, None


def add_adapters(y: Tensor, x: Tensor, layer: Stacked, here: Pass) -> list[Tensor]:
    """`y += scale * B_k A_k x` for the tokens of each condition; their A x, which the way back needs."""
    if here.batched:
        own = [k for k, _, _ in here.spans]
        down, up = (value[own].to(x.dtype) for value, _ in layer.adapters)
        h = torch.bmm(x.view(len(own), -1, x.shape[1]), down.mT)
        y.view(len(own), -1, y.shape[1]).baddbmm_(h, up.mT, alpha=layer.scale)
        return [h]
    found = []
    sizes = [end - begin for _, begin, end in here.spans]
    for (k, _, _), own_x, own_y in zip(
        here.spans, torch.split(x, sizes), torch.split(y, sizes), strict=True
    ):
        turned_down, turned_up = layer.turned[k]
        h = torch.mm(own_x, turned_down.to(x.dtype))
        own_y.addmm_(h, turned_up.to(x.dtype), alpha=layer.scale)
        found.append(h)
    return found


def add_gradients(
    dx: Tensor | None, g: Tensor, x: Tensor, h: Sequence[Tensor], layer: Stacked, here: Pass
) -> None:
    """Add the gradients of the adapters to those of the stack, and of x, through them, to `dx`."""
    (down, grad_down), (up, grad_up) = layer.adapters
    down, up = down.to(x.dtype), up.to(x.dtype)
    if here.batched:
        own = [k for k, _, _ in here.spans]
        g, x = (one.view(len(own), -1, one.shape[1]) for one in (g, x))
        gh = torch.bmm(g, up[own]) * layer.scale
        grad_up[own] += torch.bmm(g.mT, h[0]).float() * layer.scale
        grad_down[own] += torch.bmm(gh.mT, x).float()
        if dx is not None:
            dx.view(len(own), -1, dx.shape[1]).baddbmm_(gh, down[own])
        return
    for (k, begin, end), own_h in zip(here.spans, h, strict=True):
        own_g, own_x = g[begin:end], x[begin:end]
        gh = own_g @ up[k] * layer.scale
        _add(grad_up[k], own_g.T, own_h, layer.scale)
        _add(grad_down[k], gh.T, own_x)
        if dx is not None:
            dx[begin:end].addmm_(gh, down[k])


def _add(to: Tensor, a: Tensor, b: Tensor, scale: float = 1.0) -> None:
    """`to += scale * a @ b`, in float32."""
    if a.dtype == to.dtype:
        to.addmm_(a, b, alpha=scale)
    else:
        to.add_((a @ b).float(), alpha=scale)


def _kept(x: Tensor, here: Pass, rate: float) -> Tensor:
    """What dropout multiplies with, drawn condition by condition."""
    keep = torch.empty_like(x)
    for k, begin, end in here.spans:
        keep[begin:end].bernoulli_(1 - rate, generator=here.dropout[k])
    return keep.div_(1 - rate)


def _drawn(
    net: Any, config: LoraConfig, seeds: Sequence[int]
) -> tuple[Any, dict[int, dict[str, Tensor]]]:
    """PEFT's config, its targets found, and the adapter that it draws for each seed."""
    import peft
    from transformers import set_seed

    first: dict[int, dict[str, Tensor]] = {}
    found = None
    for seed in dict.fromkeys(seeds):
        set_seed(seed)
        wrapped = peft.get_peft_model(net, lora_config(config, net))
        first[seed] = {
            name.replace(".default.", "."): value.detach().float().clone()
            for name, value in wrapped.named_parameters()
            if value.requires_grad
        }
        found = wrapped.peft_config["default"]
        wrapped.unload()
    net.requires_grad_(False)
    assert found is not None
    found.target_modules = sorted(found.target_modules)
    found.inference_mode = True
    return found, first


def _named(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """By the names that they have inside a PEFT model."""
    return {name.removesuffix("weight") + "default.weight": value for name, value in tensors.items()}
