"""Rows that may not be trained on: which, why, and that none goes missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from rlpersona.config import SplitConfig
from rlpersona.errors import ConfigError, DataError
from rlpersona.models import nano
from rlpersona.models.encode import Encoder
from rlpersona.preferences.drafts import Draft
from rlpersona.preferences.reading import Rejected
from rlpersona.preferences.splits import part_of, plain
from rlpersona.preferences.validity import examine, refuse


def pair(k: int, prompt: str = "", chosen: str = "yes", rejected: str | None = "no") -> Draft:
    return Draft(f"line {k}", (("user", prompt or f"Question {k}?"),), chosen, rejected)


def reasons(*drafts: Draft | Rejected, **settings: object) -> dict[str, tuple[str, str]]:
    found = examine(drafts, **settings)  # type: ignore[arg-type]
    return {row.place: (row.flaw, row.reason) for row in found.rejected}


def test_each_flaw_by_itself() -> None:
    chat = (("user", "Hi"), ("assistant", "Hello"), ("user", "What now?"))
    found = reasons(
        pair(1),
        pair(2, chosen=" \n"),
        pair(3, rejected=""),
        pair(4, prompt=" "),
        pair(5, chosen="a  b ", rejected=" a\nb"),
        Draft("line 6", (("user", "x"),), "a", "b", tied=True),
        Draft("line 7", (("user", "x"), ("assistant", "y")), "a", "b"),
        Draft("line 8", (("user", "x"), ("assistant", " "), ("user", "z")), "a", "b"),
        Draft("line 9", (), "a", "b"),
        Draft("line 10", chat, "a", "b"),
        Rejected("line 11", "'chosen' is missing"),
        held_out=["what NOW?"],
    )
    assert found == {
        "line 2": ("empty", "the chosen answer is empty"),
        "line 3": ("empty", "the rejected answer is empty"),
        "line 4": ("empty", "the prompt is empty"),
        "line 5": ("chosen = rejected", "both answers are the same"),
        "line 6": ("tied", "both answers have the same score"),
        "line 7": ("malformed", "the prompt ends with a message of the assistant"),
        "line 8": ("empty", "a turn of the prompt is empty"),
        "line 9": ("empty", "the prompt is empty"),
        "line 10": ("in the evaluation", "the prompt is one of the evaluation's"),
        "line 11": ("malformed", "'chosen' is missing"),
    }


def test_repeated_and_contradicting_rows() -> None:
    found = examine(
        [
            pair(1, "P", "a", "b"),
            pair(2, "Q", "a", "b"),
            pair(3, "P", "a ", "b"),  # the first again
            pair(4, "Q", "b", "a"),  # the second turned round
            pair(5, "P", "a", "c"),  # another pair of the same prompt
            pair(6, "Q", "a", "b"),
        ]
    )
    assert [row["prompt"][0]["content"] for row in found.rows] == ["P", "P"]
    assert found.counts == {"read": 6, "kept": 2, "contradicted": 3, "repeated": 1}
    told = {row.place: row.reason for row in found.rejected}
    assert told["line 2"] == "prefers the answer that line 4 rejects"
    assert told["line 4"] == "prefers the answer that line 2 rejects"
    assert told["line 3"] == "repeats line 1"
    assert found.summary() == "2 of 6 rows kept; set aside: 3 contradicted, 1 repeated"


def test_completions_with_names_of_their_own_do_not_repeat_each_other() -> None:
    chat = (("user", "Hi"),)
    unnamed = [Draft(f"line {k}", chat, "Hello", None) for k in (1, 2)]
    named = [Draft(f"line {k}", chat, "Hello", None, name=f"talk {k}") for k in (1, 2)]
    assert examine(unnamed).counts == {"read": 2, "kept": 1, "repeated": 1}
    assert examine(named).counts == {"read": 2, "kept": 2}
    assert examine(named).rows[0] == {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Hello"}],
        "id": "talk 1",
    }


@given(st.text(max_size=12), st.integers(0, 3))
def test_held_out_prompts_are_those_that_a_split_keeps_together(prompt: str, seed: int) -> None:
    """Whatever `plain` calls the same prompt stands in the same part."""
    other = f"  {prompt.upper()}\n"
    if plain(prompt) == plain(other):
        shares = SplitConfig()
        assert part_of(prompt, shares, seed) == part_of(other, shares, seed)
        if prompt.strip():
            found = reasons(pair(1, prompt), held_out=[other])
            assert found.get("line 1", ("",))[0] in ("in the evaluation", "empty")


def test_a_whole_dialogue_can_be_held_out() -> None:
    chat = (("user", "Hi"), ("assistant", "Hello"), ("user", "Go on"))
    draft = Draft("line 1", chat, "a", "b")
    assert reasons(draft, held_out=["Hi\n\nHello\n\nGo on"])["line 1"][0] == "in the evaluation"
    assert reasons(draft, held_out=["Hi"]) == {}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(nano.path()), 64)


def test_the_window_counts_the_chat_the_longer_answer_and_its_end(encoder: Encoder) -> None:
    """To the token: rendered by the tokenizer itself, beside our count."""
    draft = pair(1, "how are you", "well " * 5, "badly " * 9)
    messages = [
        {"role": "user", "content": "how are you"},
        {"role": "assistant", "content": "badly " * 9},
    ]
    whole = encoder.tokenizer.apply_chat_template(messages, tokenize=False).rstrip("\n")
    length = len(encoder.tokenizer(whole, add_special_tokens=False)["input_ids"])
    assert reasons(draft, encoder=encoder, window=length) == {}
    found = reasons(draft, encoder=encoder, window=length - 1)
    assert found == {"line 1": ("too long", f"{length} tokens, the window is {length - 1}")}
    # Where the chosen answer alone would fit, the row does not.
    assert reasons(pair(1, "how are you", "well " * 5, None), encoder=encoder, window=length - 1) == {}


def test_the_models_own_window_is_the_most(encoder: Encoder) -> None:
    long = pair(1, chosen="word " * 80)
    assert reasons(long, encoder=encoder)["line 1"][1].endswith("the window is 64")
    assert reasons(long, encoder=encoder, window=10_000)["line 1"][0] == "too long"
    with pytest.raises(ConfigError, match="without an encoder"):
        examine([long], window=64)


texts = st.sampled_from(["", " ", "a", "b", "a ", "ab", "A", "ß", "ﬁ", "x y", "x  y", "\u2028"])
drafts = st.builds(
    Draft,
    place=st.integers(1, 99).map(lambda k: f"line {k}"),
    prompt=st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), texts), max_size=3).map(
        tuple
    ),
    chosen=texts,
    rejected=st.none() | texts,
    name=st.sampled_from(["", "n", "m"]),
    tied=st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(drafts | st.builds(Rejected, st.just("line 0"), st.just("torn")), max_size=12))
def test_every_row_is_kept_or_rejected_and_what_is_kept_is_sound(rows: list[Draft | Rejected]) -> None:
    found = examine(rows, [Rejected("line 100", "torn")], held_out=["ab"])
    assert found.counts["read"] == len(rows) + 1 == found.counts["kept"] + len(found.rejected)
    flaws = Counter(row.flaw for row in found.rejected)
    assert {k: n for k, n in found.counts.items() if k not in ("read", "kept")} == flaws
    seen = set()
    for row in found.rows:
        assert row["prompt"][-1]["role"] == "user"
        assert row["prompt"][-1]["content"].strip()
        assert plain(row["prompt"][-1]["content"]) != "ab"
        prompt = str([(turn["role"], turn["content"].split()) for turn in row["prompt"]])
        if "completion" in row:
            assert row["completion"][0]["content"].strip()
            continue
        chosen, rejected = (tuple(row[side][0]["content"].split()) for side in ("chosen", "rejected"))
        assert chosen
        assert rejected
        assert chosen != rejected
        assert (prompt, chosen, rejected) not in seen
        assert (prompt, rejected, chosen) not in seen
        seen.add((prompt, chosen, rejected))
    assert examine([d for d in rows if isinstance(d, Draft)], held_out=["ab"]).rows == found.rows


def test_a_refusal_shows_some_of_every_flaw_and_counts_all() -> None:
    rows = [pair(k, chosen="") for k in range(1, 41)]
    found = examine([*rows, pair(41, chosen="same", rejected="same"), pair(42)])
    with pytest.raises(DataError) as caught:
        refuse("data.jsonl", found)
    message = caught.value.message
    assert message.startswith(
        "data.jsonl: 41 of 42 rows cannot be used (40 empty, 1 chosen = rejected):"
    )
    assert "line 41: both answers are the same" in message
    assert message.endswith("and 34 more")
    assert len(message.split("\n")) < 20
    assert "data.bad_rows=quarantine" in caught.value.hint


def test_places_are_not_repeated_in_full() -> None:
    path = str(Path("some") / "folder" / "data.jsonl")
    draft = Draft(f"{path}, line 7", (("user", "x"),), "", "b")
    with pytest.raises(DataError) as caught:
        refuse(path, examine([draft]))
    assert "\n  line 7: the chosen answer is empty" in caught.value.message
