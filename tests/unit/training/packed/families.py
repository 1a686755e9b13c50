"""Random models of two small layers, of the families that are trained here."""

from __future__ import annotations

from typing import Any

SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 3,
}
WINDOW = {"sliding_window": 4}  # shorter than a prompt
OWN: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1, **WINDOW},
    "qwen3": {},
    "gemma2": {**WINDOW, "final_logit_softcapping": 5.0, "attn_logit_softcapping": 2.0},
    "gemma3_text": WINDOW,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
}
FAMILIES = tuple(OWN)


def family(name: str) -> Any:
    """A model of a family, the same weights every time; attention in plain products.

    (transformers' sdpa leaves out Gemma 2's soft cap of the scores.)
    """
    from transformers import AutoConfig, AutoModelForCausalLM, set_seed

    shared = {"vocab_size": 64, "pad_token_id": 0, "eos_token_id": 3} if name == "gpt2" else SMALL
    extra = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0} if name == "gpt2" else {}
    set_seed(0)
    config = AutoConfig.for_model(name, **shared, **OWN[name], **extra, initializer_range=0.2)
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
