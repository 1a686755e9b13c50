"""What every judge takes and gives: pairs of answers in, verdicts out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

Winner = Literal["a", "b", "tie"]
Order = Literal["AB", "BA"]
ORDERS: tuple[Order, ...] = ("AB", "BA")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one question. To grade an answer against a gold text, let `b` be the gold text.

    `reference` is a right answer that the judge may look at, empty if there is none.
    """

    question: str
    a: str
    b: str
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """What the judge said when the answers were shown in one order, `"AB"`: `a` first.

    `winner` names the answer, not the place where it stood; it is None exactly when `error` says why.
    `key` is the request's key in the ledger.
    """

    order: Order
    winner: Winner | None
    error: str | None = None
    key: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judge's decision on a pair. `winner` is None exactly when `error` says why there is none.

    `sides` holds what was said in each order in which the pair was shown, and is empty where order
    can play no part: a rule decided, or the answers are the same text.
    """

    winner: Winner | None
    error: str | None = None
    sides: tuple[Side, ...] = ()

    @property
    def consistent(self) -> bool | None:
        """Whether both orders gave the same winner; None if two readable sides are not there."""
        said = [side.winner for side in self.sides if side.winner is not None]
        return None if len(said) < 2 else len(set(said)) == 1

    @classmethod
    def of(cls, sides: Sequence[Side]) -> Verdict:
        """The verdict of one or two sides: what they agree on, a tie where they differ.

        A side without a winner leaves no verdict: half an answer is none.
        """
        errors = [f"{side.order}: {side.error}" for side in sides if side.winner is None]
        if errors:
            return cls(None, "; ".join(errors), tuple(sides))
        said = {side.winner for side in sides}
        return cls(said.pop() if len(said) == 1 else "tie", None, tuple(sides))


@runtime_checkable
class Judge(Protocol):
    """Whoever decides between two answers."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def compare(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """One verdict per pair, in the order of the pairs."""
        ...
