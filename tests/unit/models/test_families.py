"""Other model families than nano's: real architectures, small and random, against the plain way."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.models import load_model
from rlpersona.types import Prompt, Sampling
from tests.unit.models.conftest import Reference
from tests.unit.models.tiny_models import CHOICES, save_tokenizer


def save(folder: Path, family: str, **extra: object) -> str:
    """A random model of a family, with weights spread widely enough that texts differ."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=save_tokenizer(folder),
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        intermediate_size=128,
        max_position_embeddings=256,
        initializer_range=0.3,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
        **extra,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        ("qwen2", {}),
        ("qwen3", {}),
        ("mistral", {"sliding_window": None}),
        ("gemma2", {"sliding_window": 64, "query_pre_attn_scalar": 32}),
        ("gemma2", {"sliding_window": 16, "query_pre_attn_scalar": 32}),
    ],
)
def test_scores_and_texts_equal_the_plain_way(
    family: str, extra: dict[str, object], tmp_path: Path, prompts: list[Prompt], reference: Reference
) -> None:
    name = save(tmp_path, family, **extra)
    model = load_model(ModelConfig(name=name))
    some = prompts[:6]
    for prompt, score in zip(some, model.score_choices(some, [CHOICES] * len(some)), strict=True):
        expected = [reference(name, prompt, choice, None) for choice in CHOICES]
        assert score.loglikelihoods == pytest.approx(expected, abs=2e-4)
    together = model.generate(some, Sampling(max_tokens=12))
    alone = [model.generate([prompt], Sampling(max_tokens=12))[0] for prompt in some]
    assert [c.token_ids for c in together] == [c.token_ids for c in alone]
