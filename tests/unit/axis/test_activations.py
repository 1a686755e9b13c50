"""Mean activations against `output_hidden_states`, whatever the family, the batch and the padding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpersona.axis.activations import Extractor, mean_activations, pooled, stream_activations
from rlpersona.axis.blocks import decoder_of, middle_layer
from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models.encode import Encoder
from rlpersona.models.sharing import plan
from rlpersona.types import Message, Prompt, Sampling
from tests.unit.models.tiny_models import NAMES, QUESTIONS, save_lora, save_tokenizer

LAYERS = 3
FAMILIES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("qwen2", {}),
    ("qwen3", {}),
    ("gemma2", {"sliding_window": 8, "query_pre_attn_scalar": 32}),
    ("gemma2", {"sliding_window": 512, "query_pre_attn_scalar": 32}),
    ("gemma3_text", {"sliding_window": 8, "query_pre_attn_scalar": 32}),
    ("gemma3_text", {"sliding_window": 512, "query_pre_attn_scalar": 32}),
]
TEXTS = [
    "12 Paris",
    "a green house and Berlin. What is the capital?",
    "red",
    "Name a colour, Ada Lovelace",
]
CHATS = [
    (Prompt.ask(question, f"You are {name}. " * 3 if at % 3 else None), TEXTS[(at + place) % 4])
    for at, name in enumerate(NAMES)
    for place, question in enumerate(QUESTIONS)
]


def save(folder: Path, family: str, **extra: Any) -> tuple[Any, Encoder]:
    """A small random model of a family, and the encoder for it."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    config = AutoConfig.for_model(
        family,
        vocab_size=save_tokenizer(folder),
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        intermediate_size=64,
        max_position_embeddings=256,
        initializer_range=0.2,
        eos_token_id=1,
        pad_token_id=0,
        bos_token_id=None,
        **extra,
    )
    net = AutoModelForCausalLM.from_config(config).eval()
    net.save_pretrained(folder)
    return net, Encoder(AutoTokenizer.from_pretrained(folder), 256)


def reference(net: Any, rows: list[tuple[list[int], list[int]]], side: str) -> np.ndarray:
    """Means over the response from `output_hidden_states` of one padded batch.

    transformers puts the final norm on its last hidden state, which is undone by asking the norm for
    its input.
    """
    import torch

    width = max(len(context) + len(response) for context, response in rows)
    ids, mask = torch.zeros(2, len(rows), width, dtype=torch.long)
    spans = []
    for at, (context, response) in enumerate(rows):
        whole = context + response
        start = width - len(whole) if side == "left" else 0
        ids[at, start : start + len(whole)] = torch.tensor(whole)
        mask[at, start : start + len(whole)] = 1
        spans.append(slice(start + len(context), start + len(whole)))
    last: list[Any] = []
    handle = decoder_of(net).norm.register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    with torch.no_grad():
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        out = net(input_ids=ids, attention_mask=mask, position_ids=positions, output_hidden_states=True)
    handle.remove()
    states = [*out.hidden_states[1:-1], last[0]]
    means = [torch.stack([state[at, span].mean(0) for state in states]) for at, span in enumerate(spans)]
    return torch.stack(means).numpy()


@pytest.mark.parametrize(("family", "extra"), FAMILIES)
def test_hooks_equal_hidden_states_whatever_the_batch_and_padding(
    family: str, extra: dict[str, Any], tmp_path: Path
) -> None:
    net, encoder = save(tmp_path, family, **extra)
    rows = [encoder.response(prompt, text) for prompt, text in CHATS]
    assert plan([context for context, _ in rows], 500)[0].prefixes, "prompts begin alike"
    alone = np.concatenate([reference(net, [row], "right") for row in rows])
    assert alone.shape == (16, LAYERS, 32)
    for batch_tokens in (64, 10_000):
        found = mean_activations(net, encoder, CHATS, batch_tokens=batch_tokens)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, alone, atol=1e-5 * np.abs(alone).max())
    for side in ("left", "right"):
        np.testing.assert_allclose(reference(net, rows, side), alone, atol=1e-5 * np.abs(alone).max())
    some = mean_activations(net, encoder, CHATS[5:8], batch_tokens=10_000)
    np.testing.assert_allclose(some, alone[5:8], atol=1e-5 * np.abs(alone).max())


def test_padding_may_lie_anywhere_if_it_is_masked(tmp_path: Path) -> None:
    import torch

    net, encoder = save(tmp_path, "llama")
    context, response = encoder.response(*CHATS[1])
    row = context + response
    ids = torch.tensor([[0] * 5 + context + [0] * 3 + response + [0] * 2])
    mask = torch.tensor([[0] * 5 + [1] * len(context) + [0] * 3 + [1] * len(response) + [0] * 2])
    weights = torch.zeros(ids.shape)
    start = 8 + len(context)
    weights[0, start : start + len(response)] = 1 / len(response)
    gap = pooled(net, ids, weights, mask)[0]
    plain = torch.zeros(1, len(row))
    plain[0, len(context) :] = 1 / len(response)
    torch.testing.assert_close(gap, pooled(net, torch.tensor([row]), plain)[0], atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def nano() -> Iterator[Extractor]:
    with closing(Extractor(ModelConfig())) as extractor:
        yield extractor


def test_nano_equals_hidden_states(nano: Extractor) -> None:
    encoder = nano.model.encoder
    rows = [encoder.response(prompt, text) for prompt, text in CHATS]
    found = nano.extract(CHATS)
    assert found.shape == (len(CHATS), nano.layers, nano.width) == (16, 4, 128)
    expected = reference(nano.model.network(), rows, "left")
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_token_ids_and_text_of_a_completion_mean_the_same(nano: Extractor) -> None:
    prompts = [prompt for prompt, _ in CHATS]
    done = nano.generate(prompts, Sampling(max_tokens=40))
    assert {completion.finish for completion in done} >= {"stop"}
    by_ids = nano.extract([(p, c.token_ids) for p, c in zip(prompts, done, strict=True)])
    by_text = nano.extract([(p, c.text) for p, c in zip(prompts, done, strict=True)])
    np.testing.assert_allclose(by_ids, by_text, atol=1e-5 * np.abs(by_ids).max())


def test_prompt_means_are_something_else(nano: Extractor) -> None:
    response = nano.extract(CHATS)
    prompt = nano.extract(CHATS, None, "prompt")
    again = nano.extract([(asked, "another text") for asked, _ in CHATS], None, "prompt")
    np.testing.assert_allclose(prompt, again, atol=1e-5 * np.abs(prompt).max())
    assert np.abs(prompt - response).max() > 0.1 * np.abs(prompt).max()


def test_the_same_call_gives_the_same_bits(nano: Extractor) -> None:
    assert (nano.extract(CHATS) == nano.extract(CHATS)).all()


def test_an_empty_response_is_nan_and_harms_nobody(nano: Extractor) -> None:
    end = nano.model.encoder.tokenizer.eos_token_id
    found = nano.extract([CHATS[0], (CHATS[0][0], ""), (CHATS[0][0], [end]), CHATS[2]])
    assert np.isnan(found[1:3]).all()
    np.testing.assert_allclose(found[[0, 3]], nano.extract([CHATS[0], CHATS[2]]), atol=1e-4)


def test_a_stream_takes_chats_only_as_it_needs_them(nano: Extractor) -> None:
    taken = count()

    def chats() -> Iterator[tuple[Prompt, str]]:
        for _ in range(1100):
            next(taken)
            yield CHATS[0][0], "red"

    stream = nano.stream(chats())
    positions, values = next(stream)
    assert values.shape == (len(positions), nano.layers, nano.width)
    assert next(taken) <= 1024
    seen = positions + [at for more, _ in stream for at in more]
    assert sorted(seen) == list(range(1100))


def test_a_stream_leaves_no_hooks_and_no_gradient_mode(nano: Extractor) -> None:
    import torch

    net = nano.model.network()
    before = [len(layer._forward_hooks) for layer in decoder_of(net).layers]
    stream = stream_activations(net, nano.model.encoder, CHATS, batch_tokens=64)
    next(stream)
    assert torch.is_grad_enabled()
    assert [len(layer._forward_hooks) for layer in decoder_of(net).layers] == before


def test_adapters_count_and_come_off_again(tmp_path: Path) -> None:
    base, folder = tmp_path / "base", tmp_path / "adapter"
    save(base, "llama")
    save_lora(folder, str(base), seed=1)
    with closing(Extractor(ModelConfig(name=str(base)))) as extractor:
        before = extractor.extract(CHATS)
        under = extractor.extract(CHATS, str(folder))
        assert (extractor.extract(CHATS) == before).all()

        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        wrapped = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), folder).eval()
        expected = mean_activations(wrapped, extractor.model.encoder, CHATS, batch_tokens=500)
    np.testing.assert_allclose(under, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(under - before).max() > 0.01


def test_a_chat_over_the_window_is_refused(nano: Extractor) -> None:
    with pytest.raises(ModelError, match="do not fit the model's window"):
        nano.extract([(Prompt((Message("user", "What is 3 + 4?"),)), "yes " * 2000)])


@pytest.mark.parametrize(
    ("family", "blocks", "layer"),
    [("gemma2", 46, 22), ("qwen3", 64, 32), ("llama", 80, 40), ("llama", 32, 16), ("gemma2", 26, 13)],
)
def test_published_target_layers(family: str, blocks: int, layer: int) -> None:
    from transformers import AutoConfig

    assert middle_layer(AutoConfig.for_model(family, num_hidden_layers=blocks)) == layer


def test_the_middle_of_nano_and_of_a_model_that_is_not_there() -> None:
    assert middle_layer(ModelConfig()) == 2
    with pytest.raises(ModelError, match="no model at"):
        middle_layer(ModelConfig(name="/nowhere"))
