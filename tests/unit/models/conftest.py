"""The tiny models and engines under test, and the plain way to score that they are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rlpersona.config import ModelConfig
from rlpersona.types import Model, Prompt
from tests.unit.models.tiny_models import NAMES, QUESTIONS, save_llama, save_lora, save_tokenizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    save_llama(folder, save_tokenizer(folder))
    return str(folder)


@pytest.fixture(scope="session")
def lora(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("lora")
    save_lora(folder, tiny, seed=1)
    return str(folder)


@pytest.fixture(scope="session")
def hf(tiny: str) -> Iterator[Model]:
    from rlpersona.models import load_model

    model = load_model(ModelConfig(name=tiny))
    yield model
    model.close()


@pytest.fixture(scope="session")
def prompts() -> list[Prompt]:
    """Personas x questions, with and without cue, of very different lengths."""
    cues = ("", "It is")
    asked = [
        Prompt.ask(question, f"You are {name}." if name else None, cue)
        for name in (*NAMES, None)
        for question in QUESTIONS
        for cue in cues
    ]
    return [*asked, asked[3], Prompt.ask("Tell me more. " * 20, "You are Marie Curie.")]


Reference = Callable[[str, Prompt, str, str | None], float]


@pytest.fixture(scope="session")
def reference() -> Reference:
    """Log-likelihood of a choice the plain way: one row, no cache, no padding, text tokenised whole."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    nets: dict[tuple[str, str | None], Any] = {}

    def loglikelihood(folder: str, prompt: Prompt, choice: str, adapter: str | None = None) -> float:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        if (folder, adapter) not in nets:
            net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
            nets[folder, adapter] = PeftModel.from_pretrained(net, adapter).eval() if adapter else net
        turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
        context = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        context += prompt.cue
        whole = tokenizer(context + (" " if prompt.cue else "") + choice)["input_ids"]
        start = len(tokenizer(context)["input_ids"])
        with torch.no_grad():
            logprobs = nets[folder, adapter](torch.tensor([whole])).logits[0].log_softmax(-1)
        return sum(float(logprobs[at - 1, whole[at]]) for at in range(start, len(whole)))

    return loglikelihood
