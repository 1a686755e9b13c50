"""A language model as the judge of several answers at once, shown in seeded random orders."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from rlpersona.errors import ConfigError
from rlpersona.judges.asking import Ask, JudgeModel, object_schema, put
from rlpersona.judges.reading import read_ranking
from rlpersona.types import ApiCall

VERSION = "listwise-v1"
Round = tuple[tuple[int, ...], tuple[int, ...]]  # as shown, as ranked


@dataclass(frozen=True, slots=True)
class Listing:
    """Two to 26 answers to one question; `reference` is a right answer, empty if there is none."""

    question: str
    answers: tuple[str, ...]
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """How the answers of a listing rank.

    `ranks[i]` is the mean rank of answer i over the rounds, 1 the best; None exactly when `error` says
    why. `rounds` holds each round's order, best first, as positions in the listing; `shown` the order in
    which the answers stood in that round.
    """

    ranks: tuple[float, ...] | None
    error: str | None = None
    rounds: tuple[tuple[int, ...], ...] = ()
    shown: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class ListJudge:
    """Ranks listings through `ask`, each in `rounds` different random orders drawn from `seed`.

    A listing of which one round fails has no ranking. Answers of the same text share their mean rank.
    """

    model: JudgeModel
    ask: Ask
    rounds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"rounds={self.rounds}: nothing is judged", "Give at least 1.")

    def calls(self, listing: Listing) -> list[tuple[tuple[int, ...], ApiCall]]:
        """The requests that rank a listing, each with the order in which the answers stand in it."""
        return [(order, self._call(listing, order, k)) for k, order in enumerate(self._orders(listing))]

    def rank(self, listings: Sequence[Listing]) -> list[Ranking]:
        """One ranking per listing, in their order; ConfigError for under 2 or over 26 answers."""
        asked = [(row, *call) for row, listing in enumerate(listings) for call in self.calls(listing)]
        rounds: list[list[Round]] = [[] for _ in listings]
        errors: list[str | None] = [None] * len(listings)
        said = put(self.ask, [call for *_, call in asked], _read)
        for (row, order, _), reply in zip(asked, said, strict=True):
            if reply.value is None:
                errors[row] = errors[row] or reply.error
            else:
                best_first = tuple(order[ascii_uppercase.index(letter)] for letter in reply.value)
                rounds[row].append((order, best_first))
        return [
            Ranking(None, error) if error else _ranking(listing, told)
            for listing, error, told in zip(listings, errors, rounds, strict=True)
        ]

    def _orders(self, listing: Listing) -> list[tuple[int, ...]]:
        """A random order for each round, drawn from the seed and the content."""
        count = len(listing.answers)
        if not 2 <= count <= len(ascii_uppercase):
            raise ConfigError(f"{count} answers to rank", "Give 2 to 26 answers to a question.")
        content = json.dumps([self.seed, listing.question, *listing.answers])
        rng = random.Random(int(hashlib.sha256(content.encode()).hexdigest(), 16))
        return [tuple(rng.sample(range(count), count)) for _ in range(self.rounds)]

    def _call(self, listing: Listing, order: tuple[int, ...], sample: int) -> ApiCall:
        letters = ascii_uppercase[: len(order)]
        texts = {"QUESTION": listing.question}
        if listing.reference:
            texts["REFERENCE"] = listing.reference
        texts |= {
            f"ANSWER {letter}": listing.answers[i] for letter, i in zip(letters, order, strict=True)
        }
        ranking = {"type": "array", "items": {"type": "string", "enum": list(letters)}}
        return self.model.call(
            VERSION,
            texts,
            object_schema(ranking=ranking),
            order="-".join(map(str, order)),
            sample=sample,
            count=str(len(order)),
            letters=", ".join(letters),
        )


def _read(call: ApiCall, text: str) -> tuple[str, ...] | None:
    return read_ranking(text, ascii_uppercase[: call.order.count("-") + 1])


def _ranking(listing: Listing, rounds: list[Round]) -> Ranking:
    orders = tuple(order for _, order in rounds)
    shown = tuple(order for order, _ in rounds)
    mean = [
        sum(order.index(i) + 1 for order in orders) / len(orders) for i in range(len(listing.answers))
    ]
    same: dict[str, list[float]] = {}
    for answer, rank in zip(listing.answers, mean, strict=True):
        same.setdefault(answer.strip(), []).append(rank)
    ranks = tuple(sum(same[a.strip()]) / len(same[a.strip()]) for a in listing.answers)
    return Ranking(ranks, None, orders, shown)
