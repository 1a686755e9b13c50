"""Splits that share no prompt, and rows in which every preference was somebody's choice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.config import LabelConfig, SplitConfig
from rlpersona.errors import ConfigError
from rlpersona.preferences.export import majority, preference_rows
from rlpersona.preferences.labels import Label
from rlpersona.preferences.pairs import Pair
from rlpersona.preferences.splits import part_of, split
from rlpersona.presets import LABEL, chosen
from rlpersona.resolve import resolve

SHARES = SplitConfig()


def test_shares_are_kept_and_prompts_are_not_shared() -> None:
    pairs = [Pair(f"{k}-{j}", f"Question {k}?", f"a{j}", "b") for k in range(2000) for j in range(2)]
    parts = split(pairs, SHARES, 0)
    prompts = {part: {pair.prompt for pair in members} for part, members in parts.items()}
    assert sum(map(len, prompts.values())) == 2000, "disjoint, and none is lost"
    assert 1540 <= len(prompts["train"]) <= 1660
    assert 150 <= len(prompts["test"]) <= 250
    alone = split(pairs[:10], SHARES, 0)
    assert all(set(alone[part]) <= set(parts[part]) for part in parts), "more prompts move none"
    assert split(pairs, SHARES, 1)["test"] != parts["test"]


@given(st.text(max_size=30), st.integers(0, 99))
def test_spelling_variants_stay_together(prompt: str, seed: int) -> None:
    part = part_of(prompt, SHARES, seed)
    assert part_of(f"  {prompt}\n ", SHARES, seed) == part
    assert part_of(prompt.replace(" ", "\u00a0 "), SHARES, seed) == part
    assert part_of("WHY?", SHARES, seed) == part_of("why?", SHARES, seed)


def test_shares_must_add_up() -> None:
    with pytest.raises(ConfigError, match="add up to 1"):
        resolve(LabelConfig(), (), ["split.train=0.9"])
    everything = SplitConfig(train=1, validation=0, test=0)
    assert {part_of(f"Q{k}", everything, 0) for k in range(200)} == {"train"}


def test_only_choices_become_rows() -> None:
    pairs = [Pair(f"{k}", f"Q{k}", f"a{k}", f"b{k}") for k in range(6)]
    labels = {
        "0": Label("0", "a"),
        "1": Label("1", "b"),
        "2": Label("2", "tie"),
        "3": Label("3", "skip"),
        "4": Label("4", None, error="filter"),
    }
    rows = preference_rows(pairs, labels)
    assert [(r["id"], r["chosen"][0]["content"], r["rejected"][0]["content"]) for r in rows] == [
        ("0", "a0", "b0"),
        ("1", "b1", "a1"),
    ]


def test_trl_takes_the_rows_as_conversations() -> None:
    from trl.data_utils import is_conversational

    (row,) = preference_rows([Pair("0", "Q", "a", "b")], {"0": Label("0", "b")})
    assert is_conversational(row)
    assert row["prompt"] == [{"role": "user", "content": "Q"}]


def test_a_majority_is_more_than_half() -> None:
    books = [
        {"1": Label("1", "a"), "2": Label("2", "a"), "3": Label("3", "skip"), "4": Label("4", "b")},
        {"1": Label("1", "a"), "2": Label("2", "b"), "3": Label("3", None, error="x")},
        {"1": Label("1", "b"), "2": Label("2", "tie"), "4": Label("4", "skip")},
    ]
    decided = majority(books)
    assert {pair: label.choice for pair, label in decided.items()} == {"1": "a", "2": "tie", "4": "b"}


def test_an_even_vote_is_a_tie_whoever_votes_first() -> None:
    one, two = {"1": Label("1", "a")}, {"1": Label("1", "b")}
    assert majority([one, two])["1"].choice == majority([two, one])["1"].choice == "tie"


def test_presets_are_found_and_misspelt_ones_suggested() -> None:
    assert chosen("nano-persuasion", LABEL).domains == ("persuade",)
    with pytest.raises(ConfigError, match="nano-persuation") as caught:
        chosen("nano-persuation", LABEL)
    assert "nano-persuasion" in caught.value.hint


def test_words_become_settings() -> None:
    config = resolve(LabelConfig(), (), ["writers=Marie Curie, a liar", "model=some/model", "answers=4"])
    assert config.writers == ("Marie Curie", "a liar")
    assert config.model.name == "some/model"
    for wrong in ("answers=1", "prefix=You.", "name=..", "judge=rules"):
        with pytest.raises(ConfigError):
            resolve(LabelConfig(), (), [wrong])
