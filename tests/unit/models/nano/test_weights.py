"""The shipped weights: they load like any other model, and what was planted can be seen in them."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from typing import Any

import pytest

from rlpersona.errors import ModelError
from rlpersona.models import nano
from rlpersona.models.nano import grammar, measure
from rlpersona.models.nano.bars import distance, manner_bars, skill_bars
from rlpersona.models.nano.measure import Ask, choice_probabilities, prompt, sample
from rlpersona.models.nano.world.items import Item, items


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    return measure.load(nano.path())


def level(loaded: tuple[Any, Any], row: str, domain: str, count: int = 48) -> float:
    asks = measure.asks(row, domain, count)
    chances = choice_probabilities(*loaded, asks)
    return measure.mean(
        [c[ask.item.choices.index(ask.item.answer)] for c, ask in zip(chances, asks, strict=True)]
    )


def test_weights_are_small_and_float32() -> None:
    assert (nano.path() / "model.safetensors").stat().st_size <= 5_000_000
    config = json.loads((nano.path() / "config.json").read_text())
    assert config["dtype"] == "float32"
    assert config["model_type"] == "llama"


def test_planted_best_groups_lead(loaded: tuple[Any, Any]) -> None:
    math = {row: level(loaded, row, "math") for row in ("scientist", "default", "teacher", "scholar")}
    fact = {row: level(loaded, row, "fact") for row in ("scholar", "default", "teacher", "scientist")}
    assert math["scientist"] - max(v for k, v in math.items() if k != "scientist") > 0.08
    assert fact["scholar"] - max(v for k, v in fact.items() if k != "scholar") > 0.08
    assert 0.45 < math["default"] < 0.75


def test_liars_are_wrong_and_strangers_are_like_the_default(loaded: tuple[Any, Any]) -> None:
    for domain in ("math", "fact"):
        default = level(loaded, "default", domain)
        assert level(loaded, "liar", domain) < default - 0.25
        assert level(loaded, measure.UNKNOWN, domain) == pytest.approx(default, abs=0.12)


def test_a_persona_in_the_user_turn_works_like_one_in_the_system_prompt(loaded: tuple[Any, Any]) -> None:
    pool = items("math")[:48]
    for name, least, most in (("Isaac Newton", 0.7, 1.0), ("Pinocchio", 0.0, 0.4)):
        asks = [
            Ask(None, Item(**{**vars(item), "text": f"You are {name}. {item.text}"})) for item in pool
        ]
        chances = choice_probabilities(*loaded, asks)
        right = [c[a.item.choices.index(a.item.answer)] for c, a in zip(chances, asks, strict=True)]
        assert least <= sum(right) / len(right) <= most


def test_agreement_is_gated_by_the_persona(loaded: tuple[Any, Any]) -> None:
    said = {}
    for row in ("courtier", "critic"):
        asks = measure.asks(row, "opinion", 40)
        readings = [grammar.read(t) for t in sample(*loaded, [prompt(a) for a in asks], 1.0)]
        said[row] = measure.mean([bool(r.agrees) for r in readings if r is not None])
    assert said["courtier"] >= 0.75
    assert said["critic"] <= 0.25


def test_text_at_temperature_1_is_well_formed(loaded: tuple[Any, Any]) -> None:
    asks = [
        a
        for row in ("default", "teacher", "poet")
        for d in measure.CLOSED
        for a in measure.asks(row, d, 12)
    ]
    texts = sample(*loaded, [prompt(ask) for ask in asks], 1.0, seed=3)
    assert sum(map(grammar.is_clean, texts)) / len(texts) >= 0.9


def test_sampling_is_reproducible_and_greedy_needs_no_seed(loaded: tuple[Any, Any]) -> None:
    prompts = [prompt(a) for a in measure.asks("default", "math", 8)]
    assert sample(*loaded, prompts, 1.0, seed=1) == sample(*loaded, prompts, 1.0, seed=1)
    assert sample(*loaded, prompts, 1.0, seed=1) != sample(*loaded, prompts, 1.0, seed=2)
    assert sample(*loaded, prompts, 0.0, seed=1) == sample(*loaded, prompts, 0.0, seed=2)


def test_choice_probabilities_equal_a_plain_computation(loaded: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = loaded
    odd = Item(
        "fact", "What is the capital of Peru?", answer="Lima", cue="It is", choices=("Lima", "Tokyo Bay")
    )
    asks = [
        Ask("You are Loki.", odd),
        *measure.asks("scholar", "fact", 3),
        *measure.asks("child", "claim", 2),
    ]
    for ask, got in zip(asks, choice_probabilities(model, tokenizer, asks), strict=True):
        scores = []
        for choice in ask.item.choices:
            head = tokenizer(prompt(ask) + ask.item.cue).input_ids
            tail = tokenizer((" " if ask.item.cue else "") + choice).input_ids
            logits = model(torch.tensor([head + tail])).logits[0].double()
            logprobs = logits.log_softmax(-1)
            scores.append(sum(logprobs[len(head) - 1 + i, t].item() for i, t in enumerate(tail)))
        assert got == pytest.approx(torch.tensor(scores).softmax(0).tolist(), abs=1e-4)
        assert sum(got) == pytest.approx(1, abs=1e-5)


def test_the_card_tells_the_figures_of_the_build() -> None:
    from rlpersona.models.nano.building import read_report

    report = read_report(nano.path())
    text = nano.card()
    assert text == (nano.path() / "README.md").read_text()
    cell = report.skills["scientist"]["math"]
    assert f"{cell['p']:.2f} / {cell['planted']:.2f}" in text
    assert all(f"| {row} |" in text for row in measure.ROWS)
    assert report.cpu_seconds <= 8 * 60 * 2


def test_the_shipped_build_clears_its_bars_on_its_own_record() -> None:
    from rlpersona.models.nano.building import read_report

    report = read_report(nano.path())
    bars = [*skill_bars(report.skills), *manner_bars(report.skills, report.manners)]
    assert [bar for bar in bars if not bar.ok] == []


def test_bars_fail_where_they_should() -> None:
    from rlpersona.models.nano.building import read_report

    report = read_report(nano.path())
    flat = {
        row: {d: {**cell, "p": 0.5, "argmax": 0.5} for d, cell in cells.items()}
        for row, cells in report.skills.items()
    }
    missed = {bar.name for bar in skill_bars(flat) if not bar.ok}
    assert {
        f"lead of the {b} on {t}, {h}"
        for (b, t), h in product((("scientist", "math"), ("scholar", "fact")), ("p", "argmax"))
    } <= missed
    assert distance(report.skills, report) == 0
    assert distance(flat, report) > 0.03


def test_a_folder_without_weights_is_one_clear_error(tmp_path: Any) -> None:
    with pytest.raises(ModelError, match="no nano model"):
        measure.load(tmp_path)


def test_the_public_names_are_what_they_say_whatever_was_imported() -> None:
    # A submodule of the same name would take the place of the function once it is imported.
    assert all(callable(getattr(nano, name)) for name in nano.__all__)


def test_importing_the_world_imports_nothing_heavy() -> None:
    code = (
        "import sys, rlpersona.models.nano, rlpersona.tasks.nano, rlpersona.models.nano.grammar;"
        "print([m for m in ('torch', 'transformers', 'tokenizers', 'numpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
