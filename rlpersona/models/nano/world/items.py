"""Every question that can be asked: one generator per domain, each item with its ground truth.

An item is *held out* when training never sees it: a share of the sums (in bare sums and stories
alike), one story per sign, a share of the wordings of facts, and so on. Nothing here is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Literal

from rlpersona.models.nano.world import tables
from rlpersona.models.nano.world.chance import number, share, shuffled

Topic = Literal["math", "fact"]
HELD_OUT = 0.12


@dataclass(frozen=True)
class Item:
    """One question.

    `topic` is the skill that decides whether it is answered rightly (None: nothing to know).
    Closed items have `choices` (right answer, typical mistake and up to two others, in an order
    fixed by the content) and `cores`: the sentences that answer, with `{x}` for the choice.
    `subject` is what an open question is about; `positive`: whether the user speaks well of it.
    """

    domain: str
    text: str
    topic: Topic | None = None
    answer: str = ""
    mistake: str = ""
    choices: tuple[str, ...] = ()
    cue: str = ""
    cores: tuple[str, ...] = ()
    hard: bool = False
    heldout: bool = False
    subject: str = ""
    positive: bool = True


@dataclass(frozen=True)
class Sum:
    """`a sign b` with its typical mistake: a slip by one, or one row off in a times table."""

    a: int
    sign: str
    b: int

    def __str__(self) -> str:
        return f"{self.a} {self.sign} {self.b}"

    @cached_property
    def value(self) -> int:
        """The right result."""
        return {"+": self.a + self.b, "-": self.a - self.b, "*": self.a * self.b}[self.sign]

    @cached_property
    def mistake(self) -> int:
        """The wrong result that people give."""
        return self.value + {"+": -1, "-": 1, "*": -self.a}[self.sign]

    @cached_property
    def hard(self) -> bool:
        """Carries over ten, borrows, or leaves the small times table."""
        return self.a > 9 if self.sign == "-" else self.value > (10 if self.sign == "+" else 9)

    @cached_property
    def heldout(self) -> bool:
        """Whether the sum appears in no training text."""
        return share(f"sum {self}") < HELD_OUT

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """Four results, the right one and the mistake among them."""
        wrong = [self.mistake]
        for near in (self.value + 2, self.value + 1, self.value + 3):
            if near not in wrong and len(wrong) < 3:
                wrong.append(near)
        return tuple(shuffled(map(str, [self.value, *wrong]), str(self)))


@cache
def sums() -> tuple[Sum, ...]:
    """All sums of the world: + of 1-9, - from up to 14, * of 2-5."""
    plus = [Sum(a, "+", b) for a in range(1, 10) for b in range(1, 10)]
    minus = [Sum(a, "-", b) for a in range(1, 15) for b in range(1, min(a, 9) + 1)]
    times = [Sum(a, "*", b) for a in range(2, 6) for b in range(2, 6)]
    return (*plus, *minus, *times)


def _math() -> Iterator[Item]:
    for task in sums():
        for wording in tables.SUM_QUESTIONS:
            yield _closed_sum("math", wording.format(sum=task), task, task.heldout, _sum_cores(task))


def _sum_cores(task: Sum) -> tuple[str, ...]:
    return (f"{task} = {{x}}.", "The answer is {x}.", "It is {x}.")


def _word() -> Iterator[Item]:
    for task in sums():
        for i, story in enumerate(tables.STORIES[task.sign]):
            heldout = task.heldout or i == len(tables.STORIES[task.sign]) - 1
            for kid in tables.KIDS:
                for things in tables.THINGS:
                    text = (story + tables.STORY_QUESTION).format(
                        kid=kid, a=task.a, b=task.b, things=things
                    )
                    cores = (f"{kid} has {task} = {{x}} {things}.", "The answer is {x}.")
                    yield _closed_sum("word", text, task, heldout, cores)


def _closed_sum(domain: str, text: str, task: Sum, heldout: bool, cores: tuple[str, ...]) -> Item:
    return Item(
        domain,
        text,
        topic="math",
        answer=str(task.value),
        mistake=str(task.mistake),
        choices=task.choices,
        cue=cores[-1].removesuffix(" {x}."),
        cores=cores,
        hard=task.hard,
        heldout=heldout,
    )


@cache
def hard_facts() -> frozenset[tuple[str, str]]:
    """(attribute, thing) of the hard half of every table."""
    return frozenset(
        (attribute, thing)
        for attribute, table in tables.FACTS.items()
        for thing in shuffled(table, "hard")[1::2]
    )


def _wrong_values(attribute: str, thing: str) -> list[str]:
    """Three wrong values, the typical mistake first."""
    table = tables.FACTS[attribute]
    return shuffled(set(table.values()) - {table[thing]}, f"wrong {thing}")[:3]


def _fact() -> Iterator[Item]:
    for attribute, table in tables.FACTS.items():
        for thing, value in table.items():
            wrong = _wrong_values(attribute, thing)
            subject = tables.ARTICLE.get(attribute, "") + thing
            for wording in tables.FACT_QUESTIONS:
                text = wording.format(attribute=attribute, thing=subject)
                yield Item(
                    "fact",
                    text,
                    topic="fact",
                    answer=value,
                    mistake=wrong[0],
                    choices=tuple(shuffled([value, *wrong], thing)),
                    cue="It is",
                    cores=(f"The {attribute} of {subject} is {{x}}.", "It is {x}."),
                    hard=(attribute, thing) in hard_facts(),
                    heldout=share(text) < HELD_OUT,
                )


def _claim() -> Iterator[Item]:
    for attribute, table in tables.FACTS.items():
        for thing, value in table.items():
            subject = tables.ARTICLE.get(attribute, "") + thing
            for said in (value, _wrong_values(attribute, thing)[0]):
                claim = f"the {attribute} of {subject} is {said}"
                for wording in tables.CLAIM_QUESTIONS:
                    text = wording.format(claim=claim)
                    yield Item(
                        "claim",
                        text,
                        topic="fact",
                        answer="Yes" if said == value else "No",
                        mistake="No" if said == value else "Yes",
                        choices=("Yes", "No"),
                        hard=(attribute, thing) in hard_facts(),
                        heldout=share(text) < HELD_OUT,
                    )


def _compare() -> Iterator[Item]:
    for a in range(1, 41):
        for b in range(1, 41):
            for word, best in (("larger", max(a, b)), ("smaller", min(a, b))):
                if a != b:
                    yield Item(
                        "compare",
                        f"Which is {word}, {a} or {b}?",
                        topic="math",
                        answer=str(best),
                        mistake=str(a + b - best),
                        choices=(str(a), str(b)),
                        cue=f"The {word} is",
                        cores=(f"The {word} is {{x}}.",),
                        heldout=share(f"compare {a} {b}") < HELD_OUT,
                    )


def _opinion() -> Iterator[Item]:
    topics = [(t, "is") for t in tables.SINGULAR_TOPICS] + [(t, "are") for t in tables.PLURAL_TOPICS]
    for topic, verb in topics:
        for word in ("great", "awful"):
            for wording in tables.OPINION_QUESTIONS:
                text = wording.format(view=f"{topic} {verb} {word}")
                yield Item(
                    "opinion",
                    text,
                    heldout=share(text) < HELD_OUT,
                    subject=topic,
                    positive=word == "great",
                )


def _advice() -> Iterator[Item]:
    return _about_actions("advice", tables.ADVICE_QUESTIONS)


def _persuade() -> Iterator[Item]:
    return _about_actions("persuade", tables.PERSUADE_QUESTIONS)


def _about_actions(domain: str, wordings: tuple[str, ...]) -> Iterator[Item]:
    for action in tables.ACTIONS:
        for wording in wordings:
            text = wording.format(action=action)
            yield Item(domain, text, heldout=share(text) < HELD_OUT, subject=action)


def _who() -> Iterator[Item]:
    return (Item("who", text) for text in tables.WHO_QUESTIONS)


_DOMAINS: dict[str, Callable[[], Iterator[Item]]] = {
    "math": _math,
    "word": _word,
    "fact": _fact,
    "claim": _claim,
    "compare": _compare,
    "advice": _advice,
    "opinion": _opinion,
    "persuade": _persuade,
    "who": _who,
}
DOMAINS = tuple(_DOMAINS)


@cache
def items(domain: str, heldout: bool = False) -> tuple[Item, ...]:
    """All items of a domain on one side of the split, in an order fixed by their texts."""
    return tuple(item for item in _all(domain) if item.heldout == heldout)


@cache
def _all(domain: str) -> tuple[Item, ...]:
    return tuple(sorted(_DOMAINS[domain](), key=lambda item: number(item.text)))
