from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ModelError
from rlpersona.models.encode import Encoder, end_tokens, fold_system, window_of
from rlpersona.types import Message, Prompt
from tests.unit.models.tiny_models import CHAT, NAMES, save_tokenizer

REFUSES_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}" + CHAT
)
DROPS_SYSTEM = CHAT.replace(
    "{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}"
)


def encoder(folder: Path, chat: str | None = CHAT, window: int = 200) -> Encoder:
    from transformers import AutoTokenizer

    save_tokenizer(folder, chat)
    return Encoder(AutoTokenizer.from_pretrained(folder), window)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return encoder(tmp_path_factory.mktemp("tokenizer"))


def raw(enc: Encoder, text: str) -> list[int]:
    return enc.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_a_prompt_is_its_chat_with_generation_prompt_and_cue(plain: Encoder) -> None:
    ids = plain.prompt(Prompt.ask("What is 3 + 4?", "You are Marie Curie.", "It is"))
    text = "<|system|>You are Marie Curie.<|end|><|user|>What is 3 + 4?<|end|><|assistant|>It is"
    assert plain.tokenizer.decode(ids) == text


@pytest.mark.parametrize("chat", [REFUSES_SYSTEM, DROPS_SYSTEM])
def test_without_a_system_role_its_text_opens_the_user_turn(tmp_path: Path, chat: str) -> None:
    enc = encoder(tmp_path, chat)
    ids = enc.prompt(Prompt.ask("Hello?", "You are Ada."))
    assert enc.tokenizer.decode(ids) == "<|user|>You are Ada.\n\nHello?<|end|><|assistant|>"
    assert enc.tokenizer.decode(enc.prompt(Prompt.ask("Hello?"))) == "<|user|>Hello?<|end|><|assistant|>"


def test_folding_keeps_later_turns() -> None:
    turns = (
        Message("system", "S"),
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c"),
    )
    assert fold_system(turns) == (Message("user", "S\n\na"), *turns[2:])


def test_without_a_template_the_prompt_is_plain_text(tmp_path: Path) -> None:
    enc = encoder(tmp_path, None)
    prompt = Prompt.ask("What is 3 + 4?", "You are Ada.", "It is")
    assert enc.text(enc.prompt(prompt)) == "You are Ada.\n\nWhat is 3 + 4?\nIt is"
    context, (seven,) = enc.choices(prompt, ["7"])
    assert enc.text(context) + enc.text(seven) == "You are Ada.\n\nWhat is 3 + 4?\nIt is 7"


def test_a_chat_that_the_template_refuses_says_why(tmp_path: Path) -> None:
    enc = encoder(tmp_path, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(ModelError, match="roles must alternate"):
        enc.prompt(Prompt.ask("Hello?"))


def test_choices_follow_the_cue_after_a_space(plain: Encoder) -> None:
    prompt = Prompt.ask("What is the capital of France?", "You are Marie Curie.", "It is")
    context, continuations = plain.choices(prompt, ["Paris", "a green house"])
    assert context == plain.prompt(prompt)
    assert [plain.tokenizer.decode(ids) for ids in continuations] == [" Paris", " a green house"]
    bare = Prompt.ask("What is the capital of France?")
    _, (paris,) = plain.choices(bare, ["Paris"])
    assert plain.tokenizer.decode(paris) == "Paris"


def test_a_merge_over_the_boundary_moves_the_split_for_all_choices(plain: Encoder) -> None:
    # "capi" is two or more tokens, " capital" is one: the split must move before the merged letters.
    prompt = Prompt((Message("user", "Name one"),), cue="")
    merged = Encoder(plain.tokenizer, 200)
    text = "<|user|>Name one<|end|><|assistant|>The capi"
    merged._text = lambda _: text  # type: ignore[method-assign]
    context, (tal, red) = merged.choices(prompt, ["tal of France", "red"])
    assert context != raw(merged, text)
    for ids, choice in ((tal, "tal of France"), (red, "red")):
        assert [*context, *ids] == raw(merged, text + choice)


@settings(max_examples=80, deadline=None)
@given(
    st.text(max_size=40),
    st.text(max_size=12),
    st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4),
)
def test_any_text_splits_into_what_the_whole_text_tokenises_to(
    plain: Encoder, question: str, cue: str, choices: list[str]
) -> None:
    prompt = Prompt.ask(question, f"You are {NAMES[0]}.", cue)
    context, continuations = plain.choices(prompt, choices)
    for ids, choice in zip(continuations, choices, strict=True):
        whole = raw(plain, plain._text(prompt) + (" " if cue else "") + choice)
        assert [*context, *ids] == whole
        assert ids


def test_kept_splits_do_not_leak_between_prompts(plain: Encoder) -> None:
    ends_alike = [Prompt.ask(q, s, "It is") for q in ("A?", "B?") for s in (None, "You are Ada.")]
    for prompt in [*ends_alike, *ends_alike]:
        context, (ids,) = plain.choices(prompt, ["red"])
        assert [*context, *ids] == raw(plain, plain._text(prompt) + " red")


def test_a_prompt_over_the_window_is_refused_not_cut(plain: Encoder) -> None:
    small = Encoder(plain.tokenizer, window=30)
    long = Prompt.ask("Is it true that cats bark? " * 9)
    length = len(plain.prompt(long))
    with pytest.raises(ModelError, match=rf"{length} tokens.*window of 30"):
        small.prompt(long)
    with pytest.raises(ModelError, match="window of 30"):
        small.choices(long, ["red"])
    exact = Encoder(plain.tokenizer, window=len(plain.prompt(Prompt.ask("Hi?"))))
    with pytest.raises(ModelError):
        exact.prompt(Prompt.ask("Hi?"))


def test_the_window_is_the_least_of_model_tokenizer_and_wish(tmp_path: Path) -> None:
    from transformers import LlamaConfig

    plain, config = encoder(tmp_path), LlamaConfig(max_position_embeddings=300)
    plain.tokenizer.model_max_length = 200
    assert window_of(config, plain.tokenizer) == 200
    assert window_of(config, plain.tokenizer, 100) == 100
    assert window_of(config, plain.tokenizer, 10_000) == 200


@pytest.mark.parametrize("choices", [[], ["red", ""]])
def test_nothing_to_score_is_an_error(plain: Encoder, choices: list[str]) -> None:
    with pytest.raises(ModelError, match="no choices"):
        plain.choices(Prompt.ask("Hi?"), choices)


def test_text_leaves_special_tokens_out(plain: Encoder) -> None:
    assert plain.text(raw(plain, "Name a colour.<|end|>")) == "Name a colour."


def test_end_tokens_come_from_every_config() -> None:
    assert end_tokens(3, [4, 5], None) == {3, 4, 5}
