"""Answers to questions of each domain, for tests of rewards."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rlpersona.models.nano.world import answers
from rlpersona.models.nano.world.items import items
from rlpersona.models.nano.world.personas import PLANTED
from rlpersona.rewards import Answer
from rlpersona.tasks.nano import questions
from rlpersona.types import Question

MATH = Question("m", "What is 6 x 7?", "42", domain="math", source="gsm8k")
FACT = Question(
    "f",
    "Who wrote Emma?",
    "Jane Austen",
    domain="factual",
    source="triviaqa",
    meta={"aliases": ("Austen",)},
)
CODE = Question(
    "c",
    "Write a function to add two numbers.",
    "def add(a, b):\n    return a + b",
    domain="coding",
    source="mbpp",
    meta={"tests": ("assert add(1, 2) == 3", "assert add(-1, 1) == 0"), "setup": ""},
)
ADVICE = Question(
    "a", "Should I learn the violin as an adult?", "", domain="advice", source="ultrafeedback"
)
UNKNOWN = Question("u", "What is the capital of Atlantis?", "", domain="fact", source="nano")
FILES = (MATH, FACT, CODE, ADVICE)


def answer(question: Question, text: str, tokens: int | None = None, finished: bool = True) -> Answer:
    """An answer; a token a word unless told."""
    return Answer(question, text, len(text.split()) if tokens is None else tokens, finished)


def nano_group(domain: str, size: int = 8, index: int = 0) -> list[Answer]:
    """Different answers of planted personas to one question of the nano world."""
    rng = random.Random(f"{domain} {index}")
    item, question = items(domain)[index], questions([domain])[index]
    people = list(PLANTED.values())
    texts: dict[str, None] = {}
    while len(texts) < size:
        texts[answers.answer(item, rng.choice(people), rng).text] = None
    return [answer(question, text) for text in texts]


def batch(
    domains: Sequence[str] = ("math", "fact", "claim", "opinion", "advice", "persuade"),
) -> list[Answer]:
    """A group from each domain."""
    return [one for domain in domains for one in nano_group(domain)]
