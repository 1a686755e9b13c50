from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoConfig, AutoTokenizer, GenerationConfig

from rlpersona.errors import DataError, ModelError
from rlpersona.models import nano
from rlpersona.training.rows import Turns, dpo_rows, sft_rows, turn_end
from tests.unit.models.tiny_models import CHAT, save_tokenizer
from tests.unit.training.stages import CALM, LOUD, QUESTIONS, completions, pairs, said, write_rows


@pytest.fixture(scope="module")
def turns() -> Turns:
    """Of the nano model, whose weights are not needed here."""
    model: Any = SimpleNamespace(
        config=AutoConfig.from_pretrained(nano.path()),
        generation_config=GenerationConfig.from_pretrained(nano.path()),
    )
    return Turns(model, AutoTokenizer.from_pretrained(nano.path()))


def test_labels_cover_the_answer_and_its_end_and_nothing_else(turns: Turns, tmp_path: Path) -> None:
    rows = sft_rows(completions(tmp_path / "rows"), turns, None).rows
    assert len(rows) == len(QUESTIONS)
    for n, (row, question) in enumerate(zip(rows, QUESTIONS, strict=True)):
        answer = [label for label in row["labels"] if label != -100]
        text = CALM + " So it is." * (n % 3)
        assert turns.tokenizer.decode(answer) == text + "<|end|>"
        prompt = row["input_ids"][: -len(answer)]
        assert row["labels"] == [-100] * len(prompt) + answer
        assert turns.tokenizer.decode(prompt) == f"<|user|>{question}<|end|><|assistant|>"


def test_ids_are_those_of_the_whole_chat_in_the_template(turns: Turns, tmp_path: Path) -> None:
    sft = sft_rows(completions(tmp_path / "sft"), turns, None).rows[1]["input_ids"]
    dpo = dpo_rows(pairs(tmp_path / "dpo"), turns, None).rows[1]
    for ids, answer in (
        (sft, CALM + " So it is."),
        (dpo["prompt_ids"] + dpo["chosen_ids"], CALM + " So it is."),
        (dpo["prompt_ids"] + dpo["rejected_ids"], LOUD),
    ):
        chat = said("user", QUESTIONS[1]) + said("assistant", answer)
        assert ids == turns.tokenizer.apply_chat_template(chat, return_dict=False)


def test_rows_that_are_too_long_are_counted_and_never_cut(turns: Turns, tmp_path: Path) -> None:
    path = completions(tmp_path / "rows")
    whole = sft_rows(path, turns, None)
    lengths = sorted(len(row["input_ids"]) for row in whole.rows)
    kept = sft_rows(path, turns, lengths[5])
    assert (len(kept.rows), kept.too_long) == (12 - kept.too_long, sum(n > lengths[5] for n in lengths))
    assert kept.too_long > 0
    assert [row for row in whole.rows if len(row["input_ids"]) <= lengths[5]] == kept.rows
    assert whole.max_length == turns.window
    with pytest.raises(DataError, match="all 12 are longer than 16 tokens"):
        sft_rows(path, turns, 16)


def test_a_pair_is_as_long_as_its_longer_answer(turns: Turns, tmp_path: Path) -> None:
    for chosen, rejected in ((CALM, LOUD * 3), (CALM * 3, LOUD)):
        path = pairs(tmp_path / "rows", chosen, rejected)
        row = dpo_rows(path, turns, None).rows[0]
        length = len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))
        assert row in dpo_rows(path, turns, length).rows
        assert row not in dpo_rows(pairs(tmp_path / "rows"), turns, length - 1).rows


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": said("user", "hello")},
        {"prompt": "hello", "completion": "there"},
        {"prompt": said("user", "hello"), "completion": []},
        {"prompt": said("user", "hello"), "completion": said("assistant", "a") + said("user", "b")},
        ["prompt"],
    ],
)
def test_a_row_that_is_none_is_named_by_its_line(row: object, turns: Turns, tmp_path: Path) -> None:
    good = {"prompt": said("user", "hello"), "completion": said("assistant", "there")}
    path = write_rows(tmp_path / "rows", [good, row])  # type: ignore[list-item]
    with pytest.raises(DataError, match="rows, line 2"):
        sft_rows(path, turns, None)


@pytest.mark.parametrize(("text", "message"), [("", "no row to train on"), ("{", "cannot be read")])
def test_a_file_without_rows_is_refused(text: str, message: str, turns: Turns, tmp_path: Path) -> None:
    (tmp_path / "rows").write_text(text)
    with pytest.raises(DataError, match=message):
        sft_rows(tmp_path / "rows", turns, None)


def test_the_end_of_a_turn_is_the_templates_where_it_has_one(tmp_path: Path) -> None:
    """Gemma's way: the template ends a turn with a token that is not the tokenizer's EOS."""
    save_tokenizer(tmp_path, CHAT)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    end, other = tokenizer.convert_tokens_to_ids(["<|end|>", "<|system|>"])
    tokenizer.eos_token = "<|system|>"
    assert turn_end(tokenizer, [other, end]) == end
    assert turn_end(tokenizer, None) == other  # engines would not stop at the template's
    tokenizer.chat_template = None
    assert turn_end(tokenizer, [other, end]) == other
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no EOS token"):
        turn_end(tokenizer, None)
