"""The vLLM engine against the transformers engine, on nano. One engine serves the whole file."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models import load_model
from rlpersona.types import ChoiceScores, Completion, Model, Prompt, Sampling
from tests.unit.models.tiny_models import save_lora

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")

NAMES = ("Marie Curie", "William Shakespeare", "Ada Lovelace", "a pirate", "John Smith", None)
QUESTIONS = (
    ("What is the capital of France?", ("Paris", "Berlin", "Rome", "Madrid")),
    ("What is 3 + 4?", ("7", "8", "12", "34")),
    ("What is the opposite of hot?", ("cold", "warm", "tall", "a very long way from home")),
    ("Who are you?", ("a scientist", "a pirate", "nobody at all", "me")),
    ("What do you think of the sea? Please tell me at some length, with reasons.", ("good", "bad")),
    ("Name a colour.", ("red", "green", "blue", "yellow")),
)
ASKED = [(name, text, choices) for name in NAMES for text, choices in QUESTIONS]
PROMPTS = [Prompt.ask(text, f"You are {name}." if name else None) for name, text, _ in ASKED]
CUED = [Prompt.ask(text, f"You are {name}." if name else None, "It is") for name, text, _ in ASKED]
CHOICES = [choices for _, _, choices in ASKED]


@pytest.fixture(scope="module")
def hf_nano() -> Iterator[Model]:
    model = load_model(ModelConfig(device="cpu"))
    yield model
    model.close()


@pytest.fixture(scope="module")
def vllm_nano() -> Iterator[Model]:
    model = load_model(ModelConfig(engine="vllm", device="cpu"))
    yield model
    model.close()


@pytest.fixture(scope="module")
def loras(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    from rlpersona.models import nano

    folders = [tmp_path_factory.mktemp("nano_lora") for _ in range(2)]
    for seed, folder in enumerate(folders):
        save_lora(folder, str(nano.path()), seed)
    return [str(folder) for folder in folders]


def furthest(a: list[ChoiceScores], b: list[ChoiceScores]) -> float:
    assert [score.token_counts for score in a] == [score.token_counts for score in b]
    return max(
        abs(x - y)
        for one, two in zip(a, b, strict=True)
        for x, y in zip(one.loglikelihoods, two.loglikelihoods, strict=True)
    )


def assert_equal(a: list[Completion], b: list[Completion]) -> None:
    assert [(c.text, c.token_ids, c.finish) for c in a] == [(c.text, c.token_ids, c.finish) for c in b]
    for one, two in zip(a, b, strict=True):
        assert one.logprobs == pytest.approx(two.logprobs, abs=1e-3)


def test_vllm_greedy_texts_equal_hf(hf_nano: Model, vllm_nano: Model) -> None:
    greedy = Sampling(max_tokens=40)
    ours = vllm_nano.generate(PROMPTS, greedy)
    assert len(ours) == 36
    assert {completion.finish for completion in ours} >= {"stop"}
    assert_equal(ours, hf_nano.generate(PROMPTS, greedy))


def test_vllm_loglikelihoods_equal_hf(hf_nano: Model, vllm_nano: Model) -> None:
    for prompts in (CUED, PROMPTS):
        scores = vllm_nano.score_choices(prompts, CHOICES)
        assert furthest(scores, hf_nano.score_choices(prompts, CHOICES)) < 1e-3


def test_vllm_scores_long_endings_whole_as_hf_does(hf_nano: Model, vllm_nano: Model) -> None:
    endings = [("the sea is blue and " * 4, "green " * 15, "the sea is blue")] * 3
    assert (
        furthest(
            vllm_nano.score_choices(PROMPTS[:3], endings), hf_nano.score_choices(PROMPTS[:3], endings)
        )
        < 1e-3
    )


def test_vllm_draws_do_not_depend_on_batches(vllm_nano: Model) -> None:
    whole = vllm_nano.generate(PROMPTS, Sampling(max_tokens=20, temperature=1.0, seed=4))
    for at in range(0, len(PROMPTS), 5):
        part = Sampling(max_tokens=20, temperature=1.0, seed=4, offset=at)
        drawn = vllm_nano.generate(PROMPTS[at : at + 5], part)
        assert [c.token_ids for c in drawn] == [c.token_ids for c in whole[at : at + 5]]
    assert len({completion.token_ids for completion in whole}) > len(QUESTIONS)


def test_vllm_adapters_equal_hf_and_leave_the_base_alone(
    hf_nano: Model, vllm_nano: Model, loras: list[str]
) -> None:
    greedy = Sampling(max_tokens=20)
    base = vllm_nano.score_choices(CUED, CHOICES)
    texts = vllm_nano.generate(PROMPTS, greedy)
    for lora in [*loras, loras[0]]:
        adapted = vllm_nano.score_choices(CUED, CHOICES, lora)
        assert furthest(adapted, hf_nano.score_choices(CUED, CHOICES, lora)) < 1e-3
        assert furthest(adapted, base) > 0.5
        assert_equal(vllm_nano.generate(PROMPTS, greedy, lora), hf_nano.generate(PROMPTS, greedy, lora))
        assert furthest(vllm_nano.score_choices(CUED, CHOICES), base) < 1e-3
        assert_equal(vllm_nano.generate(PROMPTS, greedy), texts)
    assert furthest(hf_nano.score_choices(CUED, CHOICES), base) < 1e-3


def test_vllm_loads_an_adapter_folder_again_when_it_is_written(
    hf_nano: Model, vllm_nano: Model, tmp_path: Path
) -> None:
    from rlpersona.models import nano

    seen = []
    for seed in (3, 4):
        save_lora(tmp_path, str(nano.path()), seed)
        seen.append(vllm_nano.score_choices(CUED[:6], CHOICES[:6], str(tmp_path)))
        assert furthest(seen[-1], hf_nano.score_choices(CUED[:6], CHOICES[:6], str(tmp_path))) < 1e-3
    assert furthest(*seen) > 0.1


def test_vllm_refuses_what_hf_refuses(vllm_nano: Model, tmp_path: Path) -> None:
    long = Prompt.ask("What is the capital of France? " * 200)
    with pytest.raises(ModelError, match="window"):
        vllm_nano.generate([long], Sampling())
    with pytest.raises(ModelError, match="no adapter"):
        vllm_nano.generate(PROMPTS[:1], Sampling(), str(tmp_path))
    assert vllm_nano.generate([], Sampling()) == []
