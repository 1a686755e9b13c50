"""The weights that a training begins with: a base model and the adapters merged into it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models.lineage import Lineage, adapter_link, base_hash, refuse_other_base
from rlpersona.models.locate import load_failure, locate

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Start:
    """A base and the (stage, adapter folder) pairs that are merged into it, in this order."""

    model: ModelConfig
    adapters: tuple[tuple[str, Path], ...] = ()

    def lineage(self) -> Lineage:
        """What an adapter trained from here records.

        Raises:
            ModelError: an adapter was not trained on what lies below it in this chain.
        """
        name = self.model.name
        lineage = Lineage(name, base_hash(name))
        for stage, folder in self.adapters:
            refuse_other_base(str(folder), name, lineage.links)
            links = (*lineage.links, adapter_link(stage, folder))
            lineage = Lineage(name, lineage.base_hash, links)
        return lineage

    @property
    def on_cuda(self) -> bool:
        """Whether a training from here runs on a GPU (ModelError where one is asked for in vain)."""
        import torch

        if self.model.device == "cuda" and not torch.cuda.is_available():
            raise ModelError(
                "device=cuda, but torch finds no CUDA device here", "Use device=auto or cpu."
            )
        return self.model.device != "cpu" and torch.cuda.is_available()


def load_start(
    start: Start, *, quantize: Literal["none", "4bit"] = "none", full: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model with the whole chain merged into its weights, on the CPU, and its tokenizer.

    Adapters are merged in float32. The weights come in the model's dtype; `auto` is float32, and
    bfloat16 below an adapter on a GPU (the `full` training of all weights wants float32 there too).
    `4bit` quantises what was merged and puts it on the GPU (NF4; Dettmers et al. 2023,
    arXiv:2305.14314, section 3).

    Raises:
        ModelError: no such model, an adapter that belongs to other weights, 4bit without CUDA.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    if quantize == "4bit":
        _refuse_quantization(start)
    start.lineage()
    dtype = start.model.dtype
    if dtype == "auto":
        dtype = "bfloat16" if start.on_cuda and not full else "float32"
    source = locate(start.model.name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        if quantize == "none":
            net = _merged(start, source, torch.float32 if start.adapters else getattr(torch, dtype))
            return net.to(getattr(torch, dtype)), tokenizer
        if not start.adapters:
            return _quantized(source), tokenizer
        with tempfile.TemporaryDirectory() as folder:  # bitsandbytes quantises while it loads
            _merged(start, source, torch.float32).to(torch.bfloat16).save_pretrained(folder)
            return _quantized(folder), tokenizer
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise load_failure(start.model.name, error) from error


def _merged(start: Start, source: str, dtype: Any) -> Any:
    from peft import PeftModel
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True)
    for _, folder in start.adapters:
        try:
            net = PeftModel.from_pretrained(net, str(folder)).merge_and_unload()
        except (RuntimeError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(
                f"adapter '{folder}' does not fit model '{start.model.name}': {error}",
                "Use it with the base model that it was trained on.",
            ) from error
    # Merging leaves the base frozen.
    return net.requires_grad_(True)


def _quantized(source: str) -> Any:
    import os

    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return AutoModelForCausalLM.from_pretrained(
        source,
        dtype=torch.bfloat16,
        use_safetensors=True,
        quantization_config=config,
        device_map={"": int(os.environ.get("LOCAL_RANK", "0"))},
    )


def _refuse_quantization(start: Start) -> None:
    if not start.on_cuda:
        raise ModelError(
            "quantize=4bit needs a CUDA device, and there is none here",
            "Set quantize=none; small models train on the CPU without it.",
        )
    try:
        import bitsandbytes  # type: ignore[import-not-found]  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"quantize=4bit needs bitsandbytes, which cannot be imported: {error}",
            "Install the extra: pip install 'rlpersona[4bit]'.",
        ) from error
