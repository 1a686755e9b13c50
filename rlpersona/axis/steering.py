"""Steering: what is changed in the residual stream while a model answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rlpersona.axis.blocks import Visit, visiting
from rlpersona.config import ModelConfig
from rlpersona.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from rlpersona.models.hf import HFModel

Mode = Literal["add", "ablate", "cap", "floor"]
MODES = ("add", "ablate", "cap", "floor")


@dataclass(frozen=True, eq=False)
class Steering:
    """One change of the residual stream h after some blocks, at every token, prompt and response.

    With v the unit vector of `vector` at the layer and a the layer's `amount`, in units of the
    residual stream:

        add     h + a v
        ablate  h - <h, v> v                     (`amount` must be 0)
        cap     h - v max(<h, v> - a, 0)         not further along v than a
        floor   h - v min(<h, v> - a, 0)         at least a along v

    `floor` on the Assistant Axis is the activation capping of Lu et al. 2026, who keep the model from
    falling below a. Tokens within the bound stay as they are, to the bit. The projection is worked out
    in float32.

    `vector` is (d,) for all `layers`, or (layers, d) in their order; `amount` one number or one a layer.

    Raises:
        ConfigError: an unknown mode, no layers, shapes that do not match, a vector of length 0.
    """

    mode: Mode
    layers: tuple[int, ...]
    vector: npt.NDArray[np.float32]
    amount: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"unknown steering mode '{self.mode}'", f"Use one of {', '.join(MODES)}.")
        vectors = np.asarray(self.vector, np.float32)
        if not self.layers or vectors.shape[:-1] not in ((), (len(self.layers),)):
            raise ConfigError(
                f"vectors of shape {vectors.shape} for {len(self.layers)} layers",
                "Pass (d,), or (layers, d) with one vector a layer.",
            )
        if not isinstance(self.amount, (int, float)) and len(self.amount) != len(self.layers):
            raise ConfigError(
                f"{len(self.amount)} amounts for {len(self.layers)} layers",
                "Give one number, or one a layer.",
            )
        if not (np.linalg.norm(vectors, axis=-1) > 0).all():
            raise ConfigError("a steering vector has no length, or is not a number", "Give another.")
        if self.mode == "ablate" and np.any(self.amount):
            raise ConfigError("ablate takes no amount", "Leave it 0, or use cap or floor.")

    @contextmanager
    def on(self, net: Any) -> Iterator[None]:
        """Steer a transformers model while the context lasts; contexts may be nested.

        Raises:
            ModelError: the model has no such layer.
            ConfigError: its residual stream is of another width.
        """
        import torch

        vectors = np.broadcast_to(
            np.asarray(self.vector, np.float32), (len(self.layers), np.shape(self.vector)[-1])
        )
        width = net.config.get_text_config().hidden_size
        if vectors.shape[-1] != width:
            raise ConfigError(
                f"a vector of {vectors.shape[-1]} numbers for a residual stream of {width}",
                "Use a vector that was made with this model.",
            )
        amounts = np.broadcast_to(np.asarray(self.amount, np.float32), len(self.layers)).tolist()
        units = [torch.from_numpy(vector / np.linalg.norm(vector)) for vector in vectors]
        visits = {
            layer: _visit(self.mode, unit, amount)
            for layer, unit, amount in zip(self.layers, units, amounts, strict=True)
        }
        with visiting(net, visits):
            yield


def steered_model(config: ModelConfig, steering: Sequence[Steering]) -> HFModel:
    """A model of the transformers engine that always answers under `steering`, applied in this order.

    Both arguments can be pickled, so `partial(steered_model, config, steering)` is a factory for a pool
    of replicas.
    """
    from rlpersona.models.hf import HFModel

    return HFModel(config, steering)


@contextmanager
def steered(net: Any, steering: Sequence[Steering]) -> Iterator[None]:
    """Steer by several changes at once, in their order."""
    with ExitStack() as stack:
        for change in steering:
            stack.enter_context(change.on(net))
        yield


def _visit(mode: Mode, unit: Tensor, amount: float) -> Visit:
    def change(hidden: Tensor) -> Tensor:
        import torch

        v = unit.to(hidden.device)
        if mode == "add":
            return hidden + (amount * v).to(hidden.dtype)
        along = hidden.float() @ v
        excess = along if mode == "ablate" else along - amount
        if mode == "cap":
            excess = excess.clamp(min=0)
        elif mode == "floor":
            excess = excess.clamp(max=0)
        changed = (hidden.float() - excess[..., None] * v).to(hidden.dtype)
        # Even minus 0 can change a bit (the sign of a zero).
        return torch.where(excess[..., None] == 0, hidden, changed)

    return change
