from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from scipy import stats

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models import load_model
from rlpersona.models.hf import MAX_ADAPTERS, HFModel
from rlpersona.types import Model, Prompt, Sampling
from tests.unit.models.conftest import Reference
from tests.unit.models.tiny_models import CHOICES, save_llama, save_lora, save_tokenizer

SAMPLED = Sampling(max_tokens=24, temperature=1.0, top_p=0.95, seed=5)


def same(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a == pytest.approx(b, abs=1e-4)


def test_it_is_a_model(hf: Model) -> None:
    assert isinstance(hf, Model)
    assert hf.generate([], Sampling()) == []
    assert hf.score_choices([], []) == []


def test_loglikelihoods_equal_the_plain_way(
    hf: Model, tiny: str, prompts: list[Prompt], reference: Reference
) -> None:
    scores = hf.score_choices(prompts, [CHOICES] * len(prompts))
    for prompt, score in zip(prompts, scores, strict=True):
        expected = tuple(reference(tiny, prompt, choice, None) for choice in CHOICES)
        assert same(score.loglikelihoods, expected)
    assert {count for score in scores for count in score.token_counts} >= {2, 5, 7}


def test_single_and_multi_token_choices_of_different_numbers(
    hf: Model, tiny: str, prompts: list[Prompt], reference: Reference
) -> None:
    choices = [("A", "B"), ("a green house in Paris", "?", "Berlin"), ("red",)]
    for prompt, some, score in zip(
        prompts, choices, hf.score_choices(prompts[:3], choices), strict=False
    ):
        assert same(score.loglikelihoods, tuple(reference(tiny, prompt, c, None) for c in some))


def test_greedy_texts_equal_the_plain_way(hf: HFModel, tiny: str, prompts: list[Prompt]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    for prompt, completion in zip(prompts, hf.generate(prompts, Sampling(max_tokens=16)), strict=True):
        ids = hf.encoder.prompt(prompt)
        for token, logprob in zip(completion.token_ids, completion.logprobs, strict=True):
            with torch.no_grad():
                logprobs = net(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            assert token == int(logprobs.argmax())
            assert logprob == pytest.approx(float(logprobs[token]), abs=1e-4)
            ids.append(token)
        assert completion.finish == ("stop" if ids[-1] == 1 else "length")


@pytest.mark.parametrize("batch_tokens", [64, 700])
def test_results_do_not_depend_on_batches(
    hf: Model, tiny: str, prompts: list[Prompt], batch_tokens: int
) -> None:
    small = load_model(ModelConfig(name=tiny, batch_tokens=batch_tokens))
    for sampling in (Sampling(max_tokens=24), SAMPLED):
        whole, cut = hf.generate(prompts, sampling), small.generate(prompts, sampling)
        assert [c.token_ids for c in whole] == [c.token_ids for c in cut]
        assert all(same(a.logprobs, b.logprobs) for a, b in zip(whole, cut, strict=True))
    choices = [CHOICES] * len(prompts)
    for a, b in zip(
        hf.score_choices(prompts, choices), small.score_choices(prompts, choices), strict=True
    ):
        assert same(a.loglikelihoods, b.loglikelihoods)


def test_a_prompt_alone_draws_what_it_draws_among_others(hf: Model, prompts: list[Prompt]) -> None:
    whole = hf.generate(prompts, SAMPLED)
    for index, prompt in enumerate(prompts):
        alone = Sampling(max_tokens=24, temperature=1.0, top_p=0.95, seed=5, offset=index)
        assert hf.generate([prompt], alone)[0].token_ids == whole[index].token_ids
    other_seed = hf.generate(prompts, Sampling(max_tokens=24, temperature=1.0, seed=6))
    assert [c.token_ids for c in other_seed] != [c.token_ids for c in whole]


def test_sampled_frequencies_match_the_models_probabilities(tmp_path: Path) -> None:
    save_llama(tmp_path, save_tokenizer(tmp_path), spread=0.02)
    model = HFModel(ModelConfig(name=str(tmp_path)))
    prompt, n = Prompt.ask("Name a colour."), 3000
    drawn = [
        c.token_ids[0] for c in model.generate([prompt] * n, Sampling(max_tokens=1, temperature=1.0))
    ]
    letters = ["a", "b", "c", "d", "e", "r", "x", "z"]
    (scores,) = model.score_choices([prompt], [letters])
    ids = [model.encoder.choices(prompt, [letter])[1][0][0] for letter in letters]
    import math

    expected = [n * math.exp(value) for value in scores.loglikelihoods]
    observed = [drawn.count(token) for token in ids]
    observed.append(n - sum(observed))
    expected.append(n - sum(expected))
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_logprobs_equal_a_rescoring_of_the_text(hf: HFModel, tiny: str, prompts: list[Prompt]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    net = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32).eval()
    hot = Sampling(max_tokens=12, temperature=1.5, top_p=0.9, seed=1)
    for prompt, completion in zip(prompts[:8], hf.generate(prompts[:8], hot), strict=True):
        ids = hf.encoder.prompt(prompt)
        with torch.no_grad():
            logits = net(torch.tensor([[*ids, *completion.token_ids]])).logits[0]
        rescored = logits.log_softmax(-1)[len(ids) - 1 : -1]
        picked = rescored.gather(1, torch.tensor(completion.token_ids)[:, None])[:, 0]
        assert same(completion.logprobs, tuple(picked.tolist()))


def test_a_completion_ends_at_the_end_token_which_is_not_in_its_text(
    tiny: str, prompts: list[Prompt], tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny, tmp_path / "stopper")
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][1] *= 3  # tied: the end token's logits grow threefold
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    done = HFModel(ModelConfig(name=str(folder))).generate(prompts, Sampling(max_tokens=40))
    stopped = [completion for completion in done if completion.finish == "stop"]
    assert len(stopped) > 5
    assert all(c.token_ids[-1] == 1 and 1 not in c.token_ids[:-1] for c in stopped)
    assert all("<|end|>" not in c.text and len(c.logprobs) == len(c.token_ids) for c in done)


def test_prompts_over_the_window_are_refused_and_completions_end_at_it(hf: HFModel) -> None:
    near = Prompt.ask("x" * 240)
    room = hf.encoder.window - len(hf.encoder.prompt(near))
    (completion,) = hf.generate([near], Sampling(max_tokens=200))
    assert (len(completion.token_ids), completion.finish) == (room, "length")
    with pytest.raises(ModelError, match="tokens"):
        hf.generate([Prompt.ask("x" * 300)], Sampling())


def test_an_adapter_counts_only_where_it_is_asked_for(
    tiny: str, lora: str, prompts: list[Prompt], reference: Reference
) -> None:
    model = HFModel(ModelConfig(name=tiny))
    some, choices = prompts[::5], [CHOICES] * len(prompts[::5])
    before = model.score_choices(some, choices)
    for _ in range(2):
        adapted = model.score_choices(some, choices, lora)
        for prompt, score in zip(some, adapted, strict=True):
            assert same(score.loglikelihoods, tuple(reference(tiny, prompt, c, lora) for c in CHOICES))
        assert not any(
            same(a.loglikelihoods, b.loglikelihoods) for a, b in zip(adapted, before, strict=True)
        )
        assert model.score_choices(some, choices) == before


def test_an_adapter_folder_written_again_is_loaded_again(
    tiny: str, prompts: list[Prompt], tmp_path: Path
) -> None:
    model, folder = HFModel(ModelConfig(name=tiny)), tmp_path / "adapter"
    seen = set()
    for seed in range(MAX_ADAPTERS + 2):
        save_lora(folder, tiny, seed)
        (score,) = model.score_choices(prompts[:1], [CHOICES], str(folder))
        seen.add(score.loglikelihoods)
    assert len(seen) == MAX_ADAPTERS + 2
    assert len(model._adapters) == MAX_ADAPTERS


def test_a_foreign_adapter_is_refused_and_leaves_the_base_alone(
    tiny: str, prompts: list[Prompt], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    save_llama(other, save_tokenizer(other) + 64, hidden=32)
    save_lora(tmp_path / "foreign", str(other), 0)
    model = HFModel(ModelConfig(name=tiny))
    before = model.score_choices(prompts[:2], [CHOICES] * 2)
    with pytest.raises(ModelError, match="does not fit"):
        model.score_choices(prompts[:2], [CHOICES] * 2, str(tmp_path / "foreign"))
    assert model.score_choices(prompts[:2], [CHOICES] * 2) == before
    with pytest.raises(ModelError, match=r"no adapter_config\.json"):
        model.generate(prompts[:1], Sampling(), str(tmp_path))


def test_a_closed_model_says_so(tiny: str, prompts: list[Prompt]) -> None:
    model = HFModel(ModelConfig(name=tiny))
    model.close()
    model.close()
    with pytest.raises(ModelError, match="closed"):
        model.generate(prompts, Sampling())
