"""The transformer blocks of a model, and what each adds up to: the residual stream after it.

Layers are counted from the first block: layer 0 is the residual stream after block 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models.locate import load_failure, locate

if TYPE_CHECKING:
    from torch import Tensor

# Target layers of Lu et al. 2026 (the Assistant Axis), by model type and number of blocks.
PUBLISHED = {("gemma2", 46): 22, ("qwen3", 64): 32, ("llama", 80): 40}

Visit = Callable[["Tensor"], "Tensor | None"]  # (rows, tokens, d) -> what takes its place, or None


def decoder_of(net: Any) -> Any:
    """The text decoder of a causal model (under an adapter, too): embeddings, blocks, final norm."""
    inner = net.get_base_model() if hasattr(net, "get_base_model") else net
    decoder = inner.get_decoder()
    if getattr(decoder, "layers", None) is None:
        raise ModelError(
            f"{type(inner).__name__} does not name its blocks, so nothing can be read after them",
            "Use a Llama, Qwen, Gemma, Mistral or another model whose decoder has .layers.",
        )
    return decoder


def shape_of(config: Any) -> tuple[int, int]:
    """Number of blocks and width of the residual stream, of a transformers config."""
    text = config.get_text_config()
    return int(text.num_hidden_layers), int(text.hidden_size)


def middle_layer(model: ModelConfig | Any) -> int:
    """The layer of headlines: the published one of the model, else the middle, `blocks // 2`.

    `model` is a `ModelConfig` (only its `config.json` is read) or a transformers config.

    Raises:
        ModelError: there is no such model.
    """
    if isinstance(model, ModelConfig):
        from transformers import AutoConfig

        try:
            model = AutoConfig.from_pretrained(locate(model.name))
        except (OSError, ValueError) as error:
            raise load_failure(model.name, error) from error
    text = model.get_text_config()
    kind = str(text.model_type).removesuffix("_text")
    blocks, _ = shape_of(model)
    return PUBLISHED.get((kind, blocks), blocks // 2)


@contextmanager
def visiting(net: Any, visits: Mapping[int, Visit]) -> Iterator[None]:
    """While it lasts, every forward pass shows the residual stream after the given layers.

    A visit that returns a tensor puts it in the stream's place. Visits of nested contexts are made in
    the order in which the contexts were opened.

    Raises:
        ModelError: the model has no such layer.
    """
    layers = decoder_of(net).layers
    for layer in visits:
        if not 0 <= layer < len(layers):
            raise ModelError(
                f"layer {layer} of a model with {len(layers)} blocks",
                f"Layers are counted from 0: the last one is {len(layers) - 1}.",
            )

    def hook(visit: Visit) -> Any:
        def call(_module: Any, _inputs: Any, output: Any) -> Any:
            alone = not isinstance(output, tuple)
            changed = visit(output if alone else output[0])
            if changed is None:
                return None
            return changed if alone else (changed, *output[1:])

        return call

    with ExitStack() as hooks:
        for layer, visit in visits.items():
            handle = layers[layer].register_forward_hook(hook(visit))
            hooks.callback(handle.remove)
        yield
