"""What lies before a person: the next pair, blind and in an order of their own, and what a key does.

The terminal and the page are two views of this desk, so they write the same labels.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rlpersona.errors import DataError
from rlpersona.preferences.labels import Choice, Label, LabelBook, now
from rlpersona.preferences.pairs import Pair
from rlpersona.tasks.identity import unit

Key = Literal["left", "right", "tie", "skip", "undo"]
KEYS: tuple[Key, ...] = ("left", "right", "tie", "skip", "undo")


@dataclass(frozen=True, slots=True)
class Card:
    """A pair as it is shown: texts that are safe to show, nothing about who wrote them."""

    pair: str
    prompt: str
    left: str
    right: str


class Desk:
    """Pairs in an order seeded by annotator, left and right drawn for each, labels in a book.

    `clean` makes model text safe to show. The order and the sides depend on the pair, the annotator and
    the seed alone, so they are the same after every restart.
    """

    def __init__(
        self, pairs: Sequence[Pair], book: LabelBook, seed: int, clean: Callable[[str], str]
    ) -> None:
        who = book.path.stem
        self._pairs = sorted(pairs, key=lambda pair: unit("order", seed, who, pair.id))
        self._swapped = {pair.id: unit("sides", seed, who, pair.id) < 0.5 for pair in pairs}
        self._book, self._clean = book, clean
        self._shown, self._shown_at = "", time.monotonic()
        unknown = sorted(book.labels.keys() - self._swapped.keys())
        if unknown:
            raise DataError(
                f"{book.path} labels a pair that is not in this run: {unknown[0]}.",
                "Labels belong to the pairs they were made on: use the run that they come from.",
            )

    @property
    def total(self) -> int:
        """Pairs on the desk."""
        return len(self._pairs)

    @property
    def done(self) -> int:
        """Pairs with a label."""
        return len(self._book.labels)

    @property
    def counts(self) -> dict[str, int]:
        """How often this annotator chose, tied and skipped. Which side is not told: it would prime."""
        found = Counter(label.choice for label in self._book.labels.values())
        return {"chosen": found["a"] + found["b"], "tie": found["tie"], "skip": found["skip"]}

    @property
    def card(self) -> Card | None:
        """The pair to look at; None when all are labelled. A pair's clock starts when it is first asked
        for."""
        pair = next((pair for pair in self._pairs if pair.id not in self._book.labels), None)
        if pair is None:
            return None
        if pair.id != self._shown:
            self._shown, self._shown_at = pair.id, time.monotonic()
        left, right = (pair.b, pair.a) if self._swapped[pair.id] else (pair.a, pair.b)
        return Card(pair.id, self._clean(pair.prompt), self._clean(left), self._clean(right))

    def press(self, key: Key, pair: str) -> bool:
        """Do what a key means for the pair that was on screen when it was pressed.

        `pair` is empty for the last screen, which shows none. False, and nothing is written, if another
        pair is next by now (a second window, a doubled click), there is nothing to undo, or nothing
        left to label. True once it is on the disk.
        """
        seconds = round(time.monotonic() - self._shown_at, 2)
        card = self.card
        if pair != (card.pair if card else ""):
            return False
        if key == "undo":
            return self._book.undo() is not None
        if card is None:
            return False
        swapped = self._swapped[pair]
        sides: dict[str, Choice] = {"left": "b" if swapped else "a", "right": "a" if swapped else "b"}
        choice: Choice = "tie" if key == "tie" else "skip" if key == "skip" else sides[key]
        order = "BA" if swapped else "AB"
        self._book.add(Label(pair, choice, (f"{order}:{choice}",), now(), seconds))
        return True
