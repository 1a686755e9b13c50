"""Pairs of answers to one prompt, made without looking at who wrote them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from rlpersona.tasks.identity import digest, unit


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to a prompt and who wrote it: a persona's name, or empty for the bare model."""

    text: str
    writer: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt. `a` and `b` are in an order that says nothing of their writers.

    `id` is made from the content, unless the pair came from a file with ids of its own.
    `question` is the id of the benchmark's question, where the prompt is one.
    """

    id: str
    prompt: str
    a: str
    b: str
    writer_a: str = ""
    writer_b: str = ""
    question: str = ""

    @property
    def content(self) -> str:
        """64 hex digits, the same for two pairs of the same prompt and answers in either order."""
        return digest(self.prompt, sorted((self.a, self.b)))


def pair_id(prompt: str, a: str, b: str) -> str:
    """16 hex digits that stand for the content; the order of the two answers counts."""
    return digest("pair", prompt, a, b)[:16]


def make_pairs(
    prompt: str, answers: Sequence[Answer], n: int, seed: int = 0, question: str = ""
) -> list[Pair]:
    """At most `n` pairs of answers whose texts differ, no two alike; fewer where there are fewer.

    Which pairs, and which answer of a pair is `a`, is drawn by hashing the texts with `seed`, so it
    depends neither on the order of the answers nor on their writers. Pairs of two writers come first:
    one writer's two answers are paired only where pairs of two writers do not suffice. Empty answers are
    left out.
    """
    distinct = {answer.text: answer for answer in reversed(answers) if answer.text.strip()}
    drawn = sorted(
        combinations(sorted(distinct), 2), key=lambda texts: unit("pairs", seed, prompt, *texts)
    )
    drawn.sort(key=lambda texts: distinct[texts[0]].writer == distinct[texts[1]].writer)
    pairs = []
    for texts in drawn[:n]:
        a, b = texts if unit("first", seed, prompt, *texts) < 0.5 else texts[::-1]
        writers = distinct[a].writer, distinct[b].writer
        pairs.append(Pair(pair_id(prompt, a, b), prompt, a, b, *writers, question))
    return pairs


def fingerprint(pairs: Iterable[Pair]) -> str:
    """One hash for a set of pairs, whatever their order."""
    return digest(sorted((pair.id, pair.prompt, pair.a, pair.b) for pair in pairs))
