"""Prices: known ones by hand, unknown ones never guessed, token counts bounded."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import CostError, DataError
from rlpersona.judges.prices import (
    SHIPPED,
    cost_of,
    is_loopback,
    likely_input_tokens,
    load_prices,
    most_input_tokens,
    price_of,
    require_prices,
    unpriced,
    worst_case,
)
from rlpersona.types import ApiCall, Message, Sampling


def call(
    model: str = "gpt-4o-mini",
    text: str = "hello",
    provider: Literal["openai", "anthropic", "local"] = "openai",
    **rest: Any,
) -> ApiCall:
    return ApiCall(provider, model, (Message("user", text),), **rest)


def test_known_prices_by_hand() -> None:
    assert cost_of("gpt-4o-mini", 1_000_000, 0) == 0.15
    assert cost_of("gpt-4o", 2_000, 300) == pytest.approx(0.005 + 0.003)
    assert cost_of("claude-sonnet-4-5", 1_000, 1_000) == pytest.approx(0.018)
    assert cost_of("text-embedding-3-small", 50_000_000, 0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
    ],
)
def test_a_dated_name_costs_what_its_family_costs(model: str, family: str) -> None:
    assert price_of(model) == SHIPPED[family]


def test_a_row_of_its_own_wins_over_the_family() -> None:
    assert cost_of("gpt-4o-2024-05-13", 1_000_000, 0) == 5.0


@pytest.mark.parametrize("model", ["gpt-9", "gpt-4o-mega", "gpt-3.5-turbo-0613", "", "openai/gpt-4o"])
def test_an_unknown_name_is_not_guessed(model: str) -> None:
    assert cost_of(model, 10, 10) is None
    assert worst_case(call(model)) is None


def test_what_runs_here_is_free_unless_its_name_has_a_price() -> None:
    assert worst_case(call("nano-rules", provider="local")) == 0.0
    assert worst_case(call("Qwen/Qwen3-8B", base_url="http://127.0.0.1:8000/v1")) == 0.0
    assert worst_case(call("Qwen/Qwen3-8B", base_url="https://example.com/v1")) is None
    proxied = worst_case(call("gpt-4o", base_url="http://localhost:4000"))
    assert proxied is not None
    assert proxied > 0, "a proxy on this machine passes a paid model on"


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.3.2.1", True),
        ("http://[::1]:80/v1", True),
        ("http://127.0.0.1.evil.com", False),
        ("https://api.openai.com/v1", False),
        ("", False),
    ],
)
def test_loopback(url: str, local: bool) -> None:
    assert is_loopback(url) is local


def test_the_worst_case_is_every_byte_a_token_and_a_full_answer() -> None:
    asked = call("gpt-4o", "x" * 1000, sampling=Sampling(max_tokens=500))
    assert worst_case(asked) == pytest.approx((1000 + 8 + 16) * 2.5e-6 + 500 * 10e-6)
    assert likely_input_tokens(asked) == 334 + 24
    with_schema = call("gpt-4o", "x" * 1000, schema="{}")
    assert most_input_tokens(with_schema) == 1000 + 24 + 2 + 512


def test_text_outside_ascii_is_a_token_a_character() -> None:
    assert likely_input_tokens(call(text="日本語")) == 3 + 24
    assert most_input_tokens(call(text="日本語")) == 9 + 24


@given(st.text())
def test_the_bound_is_never_below_the_estimate(text: str) -> None:
    asked = call(text=text)
    assert most_input_tokens(asked) + 1 >= likely_input_tokens(asked)


def test_no_byte_level_tokenizer_passes_the_bound() -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the cat sat on the mat"] * 9, trainer)
    for text in ("the cat", "zqxj" * 50, "🙂" * 40, "نص عربي", "\n\n\t \0", "ﷺ"):
        assert len(tokenizer.encode(text).ids) <= most_input_tokens(call(text=text)) - 24


def test_every_shipped_price_is_dated_and_sourced() -> None:
    for name, price in SHIPPED.items():
        assert datetime.date.fromisoformat(price.as_of) >= datetime.date(2025, 1, 1), name
        assert price.source
        assert price.input > 0
        assert price.output >= price.input or name.startswith("text-embedding")


def test_a_file_adds_and_overrides(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(
        "gpt-9: {input: 7, output: 70.5, as_of: 2026-11-21, source: their page}\n"
        "gpt-4o: {input: 1, output: 2}\n"
    )
    prices = load_prices(path)
    assert cost_of("gpt-9", 1_000_000, 2_000_000, prices) == 148.0
    assert (prices["gpt-9"].as_of, prices["gpt-9"].source) == ("2026-11-21", "their page")
    assert cost_of("gpt-4o-2024-08-06", 1_000_000, 0, prices) == 1.0
    assert prices["gpt-4o"].source == "prices.yaml"
    assert cost_of("gpt-4o-mini", 1_000_000, 0, prices) == 0.15
    assert load_prices() is SHIPPED


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("gpt-9: {input: -1, output: 2}", "gpt-9.input"),
        ("gpt-9: {input: .nan, output: 2}", "gpt-9.input"),
        ("gpt-9: {input: .inf, output: 2}", "gpt-9.input"),
        ("gpt-9: {input: 1}", "gpt-9.output"),
        ("gpt-9: {input: 1, output: 2, price: 3}", "gpt-9.price"),
        ("gpt-9: 5", "gpt-9"),
        ("- a\n- b", "the file"),
        ("", "the file"),
        ("a: [", "Cannot read"),
        ("a: !!python/object/apply:os.getcwd []", "Cannot read"),
        ("a: \0", "Cannot read"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        load_prices(path)
    assert str(path) in caught.value.message
    assert complaint in caught.value.message
    assert "input: 0.20" in caught.value.hint


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.yaml"):
        load_prices(tmp_path / "no.yaml")


def test_a_cap_wants_prices_for_every_model() -> None:
    calls = [call("gpt-9"), call("gpt-4o"), call("claude-9", provider="anthropic"), call("gpt-9")]
    assert unpriced(calls) == ("claude-9", "gpt-9")
    with pytest.raises(CostError, match="claude-9, gpt-9") as caught:
        require_prices(calls)
    assert "--prices FILE" in caught.value.hint
    require_prices([call("gpt-4o")])
