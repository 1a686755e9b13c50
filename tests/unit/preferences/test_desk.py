"""The desk: blind, seeded, and sure of which pair a key was meant for."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlpersona.errors import DataError
from rlpersona.preferences.desk import Desk
from rlpersona.preferences.labels import Label, LabelBook
from rlpersona.preferences.pairs import Pair
from rlpersona.report.words import clean_block

PAIRS = [Pair(f"p{k}", f"Q{k}?", f"a{k}", f"b{k}", "Curie", "a liar") for k in range(40)]


def desk(book: LabelBook, seed: int = 0) -> Desk:
    return Desk(PAIRS, book, seed, clean_block)


def shown(folder: Path, annotator: str, seed: int = 0) -> list[tuple[str, str]]:
    """(pair, left) of every card, in the order shown."""
    found = []
    with LabelBook(folder / f"{annotator}-{seed}.jsonl") as book:
        work = desk(book, seed)
        while card := work.card:
            found.append((card.pair, card.left))
            assert work.press("skip", card.pair)
    return found


def test_order_and_sides_are_drawn_for_each_annotator_and_seed(tmp_path: Path) -> None:
    ann = shown(tmp_path / "1", "ann")
    assert shown(tmp_path / "2", "ann") == ann, "the same after every start"
    bob, other = shown(tmp_path / "1", "bob"), shown(tmp_path / "1", "ann", 1)
    for orders in (bob, other):
        assert [pair for pair, _ in orders] != [pair for pair, _ in ann]
        assert sorted(pair for pair, _ in orders) == sorted(pair.id for pair in PAIRS)
        assert dict(orders) != dict(ann), "the sides differ, too"
    lefts = sum(left.startswith("a") for _, left in ann)
    assert 8 <= lefts <= 32, "neither answer has a side of its own"


def test_nothing_on_a_card_tells_who_wrote_what(tmp_path: Path) -> None:
    with LabelBook(tmp_path / "ann.jsonl") as book:
        assert "Curie" not in str(desk(book).card)
        assert "liar" not in str(desk(book).card)


def test_left_and_right_are_mapped_back(tmp_path: Path) -> None:
    with LabelBook(tmp_path / "ann.jsonl") as book:
        work = desk(book)
        for k in range(20):
            card = work.card
            assert card is not None
            assert work.press("left" if k % 2 else "right", card.pair)
            label = book.labels[card.pair]
            text = card.left if k % 2 else card.right
            assert text.startswith(str(label.choice))
            order = "AB" if card.left.startswith("a") else "BA"
            assert label.sides == (f"{order}:{label.choice}",)
            assert label.seconds is not None
        assert work.counts == {"chosen": 20, "tie": 0, "skip": 0}


def test_a_key_for_another_pair_is_not_counted(tmp_path: Path) -> None:
    with LabelBook(tmp_path / "ann.jsonl") as book:
        work = desk(book)
        first = work.card
        assert first is not None
        assert not work.press("undo", first.pair), "nothing to undo"
        assert work.press("tie", first.pair)
        for key in ("left", "right", "tie", "skip", "undo"):
            assert not work.press(key, first.pair), "a doubled click"
        assert work.done == 1
        second = work.card
        assert second is not None
        assert work.press("undo", second.pair)
        assert work.card == first, "the pair comes back as it was"


def test_undo_reaches_past_the_end_and_over_a_restart(tmp_path: Path) -> None:
    order = shown(tmp_path, "ann")
    with LabelBook(tmp_path / "ann-0.jsonl") as book:
        work = desk(book)
        assert work.card is None
        assert not work.press("left", "")
        assert work.press("undo", "")
        assert work.card is not None
        assert work.card.pair == order[-1][0]


def test_labels_of_other_pairs_are_refused(tmp_path: Path) -> None:
    with LabelBook(tmp_path / "ann.jsonl") as book:
        book.add(Label("elsewhere", "a"))
        with pytest.raises(DataError, match="elsewhere"):
            desk(book)


def test_model_text_is_made_inert(tmp_path: Path) -> None:
    pair = Pair("p", "\x1b[2JQ\r\nnext", "\u202eabc", "\x07bell\ttab")
    with LabelBook(tmp_path / "ann.jsonl") as book:
        card = Desk([pair], book, 0, clean_block).card
    assert card is not None
    everything = card.prompt + card.left + card.right
    assert not set(everything) & set("\x1b\x07\r\t\u202e")
    assert card.prompt == "\ufffd[2JQ\nnext"
