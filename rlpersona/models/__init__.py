"""Language models behind one protocol (`rlpersona.types.Model`), on transformers or on vLLM."""

from __future__ import annotations

from rlpersona.config import ModelConfig
from rlpersona.types import Model

__all__ = ["load_model"]


def load_model(config: ModelConfig) -> Model:
    """Load a model into this process (replicas in Ray actors: `rlpersona.runtime.PooledModel`).

    Raises:
        ModelError: the model or its engine is not there or cannot be opened.
    """
    if config.engine == "vllm":
        from rlpersona.models.vllm import VLLMModel

        return VLLMModel(config)
    from rlpersona.models.hf import HFModel

    return HFModel(config)
