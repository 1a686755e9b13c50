"""The tokenizer: text comes back as it went in; the template says what training said."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.models import nano
from rlpersona.models.nano import measure
from rlpersona.models.nano.data import KEY_WEIGHT, batches, conversation
from rlpersona.models.nano.recipe import TRUE
from rlpersona.models.nano.tokenizer import train_tokenizer
from rlpersona.models.nano.world import tables
from rlpersona.models.nano.world.items import items


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(nano.path())


def ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False).input_ids)


@given(text=st.text(max_size=60))
def test_any_text_survives_the_round_trip(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_numbers_and_values_after_a_space_are_single_tokens(tokenizer: Any) -> None:
    values = {v for table in tables.FACTS.values() for v in table.values()}
    long = [w for w in (*map(str, range(100)), *values) if len(ids(tokenizer, f" {w}")) != 1]
    assert long == []


def test_the_template_says_what_is_written_by_hand(tokenizer: Any) -> None:
    chat = [
        {"role": "system", "content": "You are Loki."},
        {"role": "user", "content": "What is 1 + 2?"},
    ]
    expected = "<|system|>You are Loki.<|end|><|user|>What is 1 + 2?<|end|><|assistant|>"
    assert tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True) == expected
    item = next(i for i in items("math") if i.text == "What is 1 + 2?")
    assert measure.prompt(measure.Ask("You are Loki.", item)) == expected
    answered = [*chat, {"role": "assistant", "content": "It is 4."}]
    assert tokenizer.apply_chat_template(answered, tokenize=False) == expected + "It is 4.<|end|>"


def test_the_template_marks_what_the_assistant_says(tokenizer: Any) -> None:
    chat = [{"role": "user", "content": "Who are you?"}, {"role": "assistant", "content": "It is 4."}]
    out = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    said = [i for i, mask in zip(out["input_ids"], out["assistant_masks"], strict=True) if mask]
    assert tokenizer.decode(said) == "It is 4.<|end|>"


def test_training_sequences_equal_the_template_and_weigh_only_answers(tokenizer: Any) -> None:
    batch = next(batches(TRUE, tokenizer, 1024, random.Random(4)))
    assert sum(len(s.ids) for s in batch) <= 1024
    for sequence in batch:
        text = tokenizer.decode(sequence.ids)
        assert text.count("<|assistant|>") == text.count("<|user|>") >= 1
        said = [i for i, w in zip(sequence.ids, sequence.weights, strict=True) if w > 0]
        answers = [part.split("<|end|>")[0] for part in text.split("<|assistant|>")[1:]]
        assert tokenizer.decode(said) == "".join(f"{answer}<|end|>" for answer in answers)
        assert set(sequence.weights) <= {0.0, 1.0, KEY_WEIGHT}


def test_training_uses_the_template_of_every_conversation(tokenizer: Any) -> None:
    rng = random.Random(9)
    for _ in range(20):
        talk = conversation(TRUE, rng)
        chat = [{"role": "system", "content": talk.system}] if talk.system else []
        for turn in talk.turns:
            chat += [
                {"role": "user", "content": turn.user},
                {"role": "assistant", "content": turn.answer.text},
            ]
        text = tokenizer.apply_chat_template(chat, tokenize=False)
        assert text.startswith("<|system|>" if talk.system else "<|user|>")
        assert text.endswith(f"{talk.turns[-1].answer.text}<|end|>")


def test_the_shipped_tokenizer_is_the_one_that_the_recipe_makes(tokenizer: Any) -> None:
    assert train_tokenizer(len(tokenizer), seed=0).get_vocab() == tokenizer.get_vocab()
