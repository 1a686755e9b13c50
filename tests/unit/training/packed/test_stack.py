"""Stacked adapters beside PEFT's own: the same weights at the start, logits, gradients and files."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import set_seed

from rlpersona.config import ModelConfig
from rlpersona.config.training import LoraConfig
from rlpersona.errors import ModelError
from rlpersona.models.hf import HFModel
from rlpersona.models.vllm import VLLMModel
from rlpersona.training.arguments import lora_config
from rlpersona.training.packed import attention
from rlpersona.training.packed.layout import Group
from rlpersona.training.packed.network import Network
from rlpersona.training.packed.rollouts import LEAST, Asked, complete, streams
from rlpersona.training.packed.stack import Pass, Stack
from rlpersona.training.start import load_start
from rlpersona.types import Prompt
from tests.unit.training.packed.families import FAMILIES, family
from tests.unit.training.stages import NANO

LORA = LoraConfig(rank=4, alpha=8)
CONDITIONS = 3


def stirred(stack: Stack) -> Stack:
    """With adapters that do something, another one for each condition."""
    torch.manual_seed(1)
    stack.weights.add_(0.05 * torch.randn_like(stack.weights))
    return stack


def some_groups(vocabulary: int, seed: int = 0) -> list[list[Group]]:
    """Groups of every size, for each condition; completions of one token and more."""
    dice = random.Random(seed)

    def text(least: int, most: int) -> list[int]:
        return [dice.randrange(3, vocabulary) for _ in range(dice.randrange(least, most))]

    return [
        [Group(text(3, 9), [text(1, 8) for _ in range(dice.randrange(1, 4))]) for _ in range(2)]
        for _ in range(CONDITIONS)
    ]


def with_peft(net: Any, stack: Stack, condition: int) -> Any:
    """The plain model with a condition's adapter, by PEFT."""
    import peft

    wrapped = peft.get_peft_model(net, lora_config(LORA, net))
    own = {
        name.removesuffix("weight") + "default.weight": value
        for name, value in stack.tensors(condition).items()
    }
    assert not wrapped.load_state_dict(own, strict=False).unexpected_keys
    return wrapped.eval()


def plain_logps(net: Any, groups: list[Group]) -> torch.Tensor:
    """Log-probabilities of all completions' tokens, each row by itself."""
    found = []
    for group in groups:
        for completion in group.completions:
            logits = net(torch.tensor([[*group.prompt, *completion]])).logits[0].float()
            start = len(group.prompt) - 1
            scores = logits[start : start + len(completion)].log_softmax(-1)
            found.append(scores.gather(1, torch.tensor(completion)[:, None])[:, 0])
    return torch.cat(found)


@pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning")
@pytest.mark.parametrize("together", [False, True], ids=["each", "batched"])
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_gradients_are_those_of_peft(name: str, together: bool) -> None:
    net, plain = family(name), family(name)
    stack = stirred(Stack(net, LORA, [0] * CONDITIONS))
    attention.prepare(net.eval())
    network = Network(net, stack, temperature=1.0, together=together)
    groups = some_groups(plain.config.vocab_size)
    layout = network.layout(list(enumerate(groups)))
    here = Pass(layout.spans, together)
    assert here.batched is together
    logps, entropy = network.logps(layout, here, entropy=True)
    assert entropy is not None
    assert (entropy > 0).all()
    weights = torch.linspace(-1, 1, len(logps))
    (logps * weights).sum().backward()
    off, _ = network.logps(layout, None)

    begin = 0
    for condition in range(CONDITIONS):
        peft = with_peft(family(name), stack, condition)
        expected = plain_logps(peft, groups[condition])
        own = slice(begin, begin + len(expected))
        begin += len(expected)
        torch.testing.assert_close(logps[own], expected, atol=2e-5, rtol=1e-5)
        (expected * weights[own]).sum().backward()
        for at in stack.names:
            found = stack.views(at)[1][condition]
            parameter = peft.get_parameter(at.removesuffix("weight") + "default.weight")
            torch.testing.assert_close(found, parameter.grad, atol=2e-4, rtol=1e-3)
        torch.testing.assert_close(off[own], plain_logps(plain, groups[condition]), atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("together", [False, True], ids=["each", "batched"])
def test_a_base_in_bfloat16_has_adapters_in_float32(together: bool) -> None:
    """As on a GPU: gradients beside those of the same base in float32, within what 8 bits carry."""
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        net = family("llama").to(torch.bfloat16).to(dtype)
        stack = stirred(Stack(net, LORA, [0] * CONDITIONS))
        attention.prepare(net.eval())
        network = Network(net, stack, temperature=1.0, together=together)
        layout = network.layout(list(enumerate(some_groups(64))))
        logps, _ = network.logps(layout, Pass(layout.spans, together))
        (logps * torch.linspace(-1, 1, len(logps))).sum().backward()
        assert stack.grads.dtype == torch.float32
        found.append((logps.detach(), stack.grads.clone()))
    (exact, slope), (rough, rough_slope) = found
    assert (exact - rough).abs().mean() < 0.05
    for a, b in zip(slope, rough_slope, strict=True):
        assert torch.nn.functional.cosine_similarity(a, b, dim=0) > 0.99


@pytest.mark.parametrize("together", [False, True], ids=["each", "batched"])
def test_a_condition_whose_numbers_overflow_spoils_no_other(together: bool) -> None:
    """Its padding, its keys and its gradients stay its own, also where all share the passes."""
    found = []
    for broken in (False, True):
        net = family("llama")
        stack = stirred(Stack(net, LORA, [0] * CONDITIONS))
        attention.prepare(net)
        if broken:
            stack.weights[0] = torch.inf
        network = Network(net, stack, temperature=1.0, together=together)
        groups = some_groups(64)
        layout = network.layout(list(enumerate(groups)))
        logps, _ = network.logps(layout, Pass(layout.spans, together))
        logps.sum().backward()
        asked = [
            Asked(k, [group.prompt for group in own], 2, streams(0, 0, 4, 6))
            for k, own in enumerate(groups)
        ]
        texts = complete(network, asked, frozenset({3}), 6)
        first = sum(len(text) for group in groups[0] for text in group.completions)
        assert bool(logps[:first].isnan().any()) is broken
        found.append((logps[first:].detach(), stack.grads[1:], texts[1:]))
    (logps, grads, texts), (others_logps, others_grads, others_texts) = found
    torch.testing.assert_close(others_logps, logps)
    torch.testing.assert_close(others_grads, grads)
    assert others_texts == texts


@pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning")
@pytest.mark.parametrize("name", FAMILIES)
def test_greedy_completions_are_those_of_transformers(name: str) -> None:
    net = family(name)
    stack = stirred(Stack(net, LORA, [0] * CONDITIONS))
    attention.prepare(net.eval())
    cold = Network(net, stack, temperature=1e-6)
    prompts = [[5, 6, 7, 8, 9, 10, 11], [12, 13, 14]]
    ends = frozenset({3})
    asked = [Asked(k, prompts, 2, streams(0, 0, 4, 12)) for k in range(CONDITIONS)]
    for condition, texts in enumerate(complete(cold, asked, ends, 12)):
        peft = with_peft(family(name), stack, condition)
        for at, prompt in enumerate(prompts):
            ids = torch.tensor([prompt])
            expected = peft.generate(
                input_ids=ids, max_new_tokens=12, do_sample=False, eos_token_id=3, pad_token_id=0
            )
            assert texts[2 * at] == texts[2 * at + 1] == expected[0, len(prompt) :].tolist()


def test_draws_have_the_probabilities_that_the_model_gives() -> None:
    """First tokens of many rows beside the softmax of the logits at that temperature."""
    net, _ = load_start(NANO)
    stack = stirred(Stack(net, LORA, [0, 1]))
    attention.prepare(net.eval())
    network = Network(net, stack, temperature=0.7)
    prompt, rows = [5, 6, 7, 8], 4000
    (texts,) = complete(network, [Asked(1, [prompt], rows, streams(2, 3, rows, 1))], frozenset(), 1)
    plain, _ = load_start(NANO)
    with torch.no_grad():
        wanted = (with_peft(plain, stack, 1)(torch.tensor([prompt])).logits[0, -1] / 0.7).softmax(-1)
    counts = torch.bincount(torch.tensor(texts)[:, 0], minlength=len(wanted)).float()
    likely = wanted > 0.01
    assert likely.sum() >= 3
    error = (wanted[likely] * (1 - wanted[likely]) / rows).sqrt()
    assert ((counts[likely] / rows - wanted[likely]).abs() < 4.5 * error).all()


def test_rows_that_end_leave_the_others_as_they_are() -> None:
    """Each prompt by itself writes what it writes beside others that end sooner or later."""
    net, tokenizer = load_start(NANO)
    stack = stirred(Stack(net, LORA, [0, 1]))
    attention.prepare(net.eval())
    network = Network(net, stack, temperature=1.0)
    ends = frozenset({tokenizer.eos_token_id})
    prompts = [[5 + at, 6, 7] for at in range(9)]
    draws = streams(1, 1, 9, 40)
    (whole,) = complete(network, [Asked(0, prompts, 1, draws)], ends, 40)
    assert len({len(text) for text in whole}) > 3
    for at in (0, 4, 8):
        (alone,) = complete(network, [Asked(0, [prompts[at]], 1, draws[at : at + 1])], ends, 40)
        assert alone == [whole[at]]


def test_a_condition_keeps_rows_as_many_as_products_need_to_round_the_same() -> None:
    """However few of its rows are at work, and however many of the others'."""
    sizes: list[dict[int, int]] = []

    class Watched(Network):
        def hidden(self, ids: Any, positions: Any, here: Pass | None, reader: Any) -> torch.Tensor:
            assert here is not None
            sizes.append({k: end - begin for k, begin, end in here.spans})
            return super().hidden(ids, positions, here, reader)

    net, tokenizer = load_start(NANO)
    stack = stirred(Stack(net, LORA, [0, 1]))
    attention.prepare(net)
    ends = frozenset({tokenizer.eos_token_id})
    rows = {0: 3 * LEAST, 1: 6 * LEAST}
    asked = [Asked(k, [[5, 6, 7]], count, streams(k, 1, count, 40)) for k, count in rows.items()]
    complete(Watched(net, stack, temperature=1.0), asked, ends, 40)
    _, *steps = sizes
    assert steps[0] == rows
    assert min(sum(step.values()) for step in steps) <= 2 * LEAST
    assert all(count >= LEAST for step in steps for count in step.values())


def test_the_adapters_at_the_start_are_pefts(tmp_path: Path) -> None:
    import peft

    from rlpersona.training.fit import adapter_hash

    seeds = [7, 8, 7]
    net, _ = load_start(NANO)
    stack = Stack(net, LORA, seeds)
    for condition, seed in enumerate(seeds):
        set_seed(seed)
        plain, _ = load_start(NANO)
        assert stack.hash(condition) == adapter_hash(
            peft.get_peft_model(plain, lora_config(LORA, plain))
        )


@pytest.mark.parametrize("engine", [HFModel, VLLMModel])
def test_a_saved_adapter_scores_the_same_in_an_engine(engine: Any, tmp_path: Path) -> None:
    if engine is VLLMModel:
        pytest.importorskip("vllm", reason="vLLM is not installed")
    net, _ = load_start(NANO)
    stack = stirred(Stack(net, LORA, [0, 1]))
    attention.prepare(net.eval())
    network = Network(net, stack, temperature=1.0)
    model = engine(ModelConfig(device="cpu"))
    asked, choices = Prompt.ask("What is the capital of France?"), ["Paris", "Rome"]
    context, continuations = model.encoder.choices(asked, choices)
    for condition in (0, 1):
        folder = tmp_path / str(condition)
        stack.save(condition, folder, NANO.lineage())
        layout = network.layout([(condition, [Group(context, continuations)])])
        with torch.no_grad():
            logps, _ = network.logps(layout, Pass(layout.spans))
        expected = torch.zeros(2).index_add_(0, layout.row, logps)
        (found,) = model.score_choices([asked], [choices], str(folder))
        assert found.loglikelihoods == pytest.approx(expected.tolist(), abs=1e-4)
    model.close()


def test_attention_of_another_kind_is_refused() -> None:
    class Sinks:
        layer_idx = 0

    with pytest.raises(ModelError, match="do not know"):
        attention.attend(Sinks(), *(torch.zeros(1, 1, 1, 1),) * 3, s_aux=torch.zeros(1))


@pytest.mark.filterwarnings("ignore:fan_in_fan_out:UserWarning")
def test_a_base_with_dropout_of_its_own_is_refused() -> None:
    net = family("gpt2")
    net.config.resid_pdrop = 0.1
    with pytest.raises(ModelError, match=r"dropout of its own \(resid_pdrop=0.1\)"):
        attention.prepare(net)
