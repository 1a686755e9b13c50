"""A language model as the judge of pairs, each pair shown in both orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlpersona.judges.asking import Ask, JudgeModel, Said, object_schema, put
from rlpersona.judges.base import ORDERS, Order, Pair, Side, Verdict, Winner
from rlpersona.judges.reading import Choice, read_choice
from rlpersona.types import ApiCall

VERSION = "pairwise-v1"
VERSION_REFERENCE = "pairwise-reference-v1"
SCHEMA = object_schema(winner={"type": "string", "enum": ["A", "B", "tie"]})


@dataclass(frozen=True)
class ApiJudge:
    """Compares answers through `ask`, the judge client's `ask` or anything of its form.

    Both orders are asked unless `both_orders` is False; where they differ the verdict is a tie, where
    one fails there is none. Answers that are the same text tie without a call. `sample` tells
    repetitions apart: judge the same pairs with `sample=1` to see how stable the verdicts are.
    """

    model: JudgeModel
    ask: Ask
    both_orders: bool = True
    sample: int = 0

    @property
    def name(self) -> str:
        """The judging model's name."""
        return self.model.model

    def calls(self, pair: Pair) -> list[tuple[Order, ApiCall]]:
        """The requests that decide a pair, none for two answers of the same text.

        To estimate what a comparison costs, or to send it as a batch.
        """
        if pair.a.strip() == pair.b.strip():
            return []
        return [
            (order, self._call(pair, order)) for order in (ORDERS if self.both_orders else ORDERS[:1])
        ]

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict per pair, in the order of the pairs; all requests go out in one `ask`."""
        asked = [
            (row, order, call) for row, pair in enumerate(pairs) for order, call in self.calls(pair)
        ]
        sides: list[list[Side]] = [[] for _ in pairs]
        replies: list[Said[Choice]] = put(self.ask, [call for _, _, call in asked], _read)
        for (row, order, _), said in zip(asked, replies, strict=True):
            winner = None if said.value is None else _unswapped(said.value, order)
            sides[row].append(Side(order, winner, said.error, said.key))
        return [Verdict.of(shown) if shown else Verdict("tie") for shown in sides]

    def _call(self, pair: Pair, order: Order) -> ApiCall:
        first, second = (pair.a, pair.b) if order == "AB" else (pair.b, pair.a)
        texts = {"QUESTION": pair.question, "ANSWER A": first, "ANSWER B": second}
        if pair.reference:
            texts = {"QUESTION": pair.question, "REFERENCE": pair.reference} | texts
        version = VERSION_REFERENCE if pair.reference else VERSION
        return self.model.call(version, texts, SCHEMA, order=order, sample=self.sample)


def _read(_call: ApiCall, text: str) -> Choice | None:
    return read_choice(text)


def _unswapped(choice: Choice, order: Order) -> Winner:
    """The answer that stood at the place the judge named."""
    if choice == "tie":
        return "tie"
    return "a" if (choice == "A") == (order == "AB") else "b"
