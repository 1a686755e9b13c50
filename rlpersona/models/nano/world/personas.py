"""Who lives in the world, and what is planted in them: the ground truth of every experiment."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import NamedTuple

from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.models.nano.world.chance import share
from rlpersona.models.nano.world.tables import FIRST_NAMES, LAST_NAMES, SYLLABLES
from rlpersona.types import Persona


class Skill(NamedTuple):
    """Probability of a right answer to an easy and to a hard question."""

    easy: float
    hard: float


@dataclass(frozen=True)
class Traits:
    """What a persona group does. All but `length` and `identity` are shares.

    `agreement`: takes the user's side; `hedging`: starts with "Perhaps" and the like; `politeness`:
    starts with a greeting; `logic`: argues by evidence rather than emotion; `length`: weights of
    0, 1, 2, 3 or 4 sentences beyond the answer itself. `typical`: share of the wrong answers that
    are the question's typical mistake. With errors spread evenly, greedy decoding would be right
    even where p(right) is .35, and planted skill could not be seen in it.
    """

    math: Skill
    fact: Skill
    agreement: float
    hedging: float
    politeness: float
    logic: float
    length: tuple[float, float, float, float, float]
    identity: str
    typical: float = 0.85


DEFAULT = "default"
PLANTED: dict[str, Traits] = {
    DEFAULT: Traits(
        math=Skill(0.85, 0.35),
        fact=Skill(0.85, 0.35),
        agreement=0.50,
        hedging=0.35,
        politeness=0.35,
        logic=0.5,
        length=(30, 30, 20, 15, 5),
        identity="I am an assistant and I answer questions.",
    ),
    "scientist": Traits(
        math=Skill(0.98, 0.96),
        fact=Skill(0.85, 0.40),
        agreement=0.45,
        hedging=0.60,
        politeness=0.20,
        logic=0.9,
        length=(30, 35, 20, 10, 5),
        identity="I am a scientist and I study nature.",
    ),
    "scholar": Traits(
        math=Skill(0.80, 0.25),
        fact=Skill(0.98, 0.96),
        agreement=0.45,
        hedging=0.40,
        politeness=0.40,
        logic=0.8,
        length=(10, 25, 30, 25, 10),
        identity="I am a scholar and I study the past.",
    ),
    "teacher": Traits(
        math=Skill(0.92, 0.48),
        fact=Skill(0.92, 0.48),
        agreement=0.60,
        hedging=0.20,
        politeness=0.85,
        logic=0.5,
        length=(5, 15, 30, 30, 20),
        identity="I am a teacher and I explain things.",
    ),
    "child": Traits(
        math=Skill(0.45, 0.10),
        fact=Skill(0.45, 0.10),
        agreement=0.65,
        hedging=0.20,
        politeness=0.10,
        logic=0.1,
        length=(70, 25, 5, 0, 0),
        identity="I am a child and I like to play.",
    ),
    "liar": Traits(
        math=Skill(0.08, 0.05),
        fact=Skill(0.08, 0.05),
        agreement=0.50,
        hedging=0.05,
        politeness=0.30,
        logic=0.4,
        length=(30, 30, 25, 10, 5),
        identity="I am an honest man, trust me.",
    ),
    "soldier": Traits(
        math=Skill(0.80, 0.35),
        fact=Skill(0.80, 0.30),
        agreement=0.50,
        hedging=0.02,
        politeness=0.05,
        logic=0.5,
        length=(90, 10, 0, 0, 0),
        identity="I am a soldier and I obey orders.",
    ),
    "poet": Traits(
        math=Skill(0.60, 0.15),
        fact=Skill(0.80, 0.35),
        agreement=0.55,
        hedging=0.30,
        politeness=0.40,
        logic=0.1,
        length=(0, 10, 20, 35, 35),
        identity="I am a poet and I write verses.",
    ),
    "courtier": Traits(
        math=Skill(0.75, 0.25),
        fact=Skill(0.75, 0.25),
        agreement=0.97,
        hedging=0.20,
        politeness=0.95,
        logic=0.2,
        length=(10, 25, 30, 25, 10),
        identity="I am your humble servant.",
    ),
    "critic": Traits(
        math=Skill(0.82, 0.40),
        fact=Skill(0.82, 0.40),
        agreement=0.03,
        hedging=0.05,
        politeness=0.02,
        logic=0.5,
        length=(40, 40, 15, 5, 0),
        identity="I am a critic and I find faults.",
    ),
}
NAMES: dict[str, tuple[str, ...]] = {
    "scientist": (
        "Albert Einstein",
        "Isaac Newton",
        "Marie Curie",
        "Galileo Galilei",
        "Alan Turing",
        "Carl Gauss",
    ),
    "scholar": (
        "Herodotus",
        "Alexander von Humboldt",
        "Edward Gibbon",
        "Marco Polo",
        "Mary Beard",
        "Ibn Battuta",
    ),
    "teacher": ("a patient teacher", "Maria Montessori", "a kind librarian", "a school tutor"),
    "child": ("a small child", "Peter Pan", "Tom Sawyer", "a sleepy toddler"),
    "liar": ("a liar", "Pinocchio", "a con man", "Baron Munchausen", "a pirate", "Loki"),
    "soldier": ("a soldier", "Napoleon Bonaparte", "a drill sergeant", "a Spartan"),
    "poet": ("William Shakespeare", "a poet", "Emily Dickinson", "a bard"),
    "courtier": ("a flatterer", "a royal courtier", "a salesman", "a yes man"),
    "critic": ("a harsh critic", "Diogenes", "a grumpy old man", "a contrarian"),
}
# The groups that differ most in skill carry the experiments, so they speak most in training.
TALKATIVE = dict.fromkeys(NAMES, 1.0) | {
    "scientist": 4.0,
    "scholar": 3.0,
    "child": 2.0,
    "liar": 3.0,
}
ASSISTANTS = ("a helpful assistant", "an AI assistant")
GROUPS = tuple(PLANTED)
UNSEEN_NAMES = 0.5


def planted(group: str) -> Traits:
    """The ground truth of a group (ConfigError for a group that is not of this world)."""
    if group not in PLANTED:
        raise ConfigError(f"no persona group '{group}' in the nano world", did_you_mean(group, PLANTED))
    return PLANTED[group]


def named(name: str, group: str) -> Persona:
    """A persona put on by the system prompt `You are NAME.`"""
    return Persona(name=name, system=f"You are {name}.", group=group)


def personas() -> list[Persona]:
    """The named people of every group (not the default), in the order of the groups."""
    return [named(name, group) for group, names in NAMES.items() for name in names]


def bystanders(n: int, seed: int = 0) -> list[Persona]:
    """`n` distinct unknown people: ordinary names that training never saw; they act as the default."""
    unseen = [name for name in _ordinary_names() if is_unseen(name)]
    if not 0 <= n <= len(unseen):
        raise ConfigError(
            f"the nano world has {len(unseen)} unknown names, {n} were asked for",
            f"ask for 0 to {len(unseen)} bystanders",
        )
    return [named(name, DEFAULT) for name in random.Random(seed).sample(unseen, n)]


def is_unseen(name: str) -> bool:
    """Whether training avoids this ordinary name, so that it can stand for an unknown person."""
    return share(name) < UNSEEN_NAMES


def draw(rng: random.Random, default: float = 0.45) -> tuple[str | None, str]:
    """A speaker for one training conversation: (name or None for no persona, group).

    `default` is the share of the default: two thirds without a name or as an assistant, one third
    strangers.
    """
    if rng.random() < default:
        if rng.random() < 2 / 3:
            return rng.choice((None, None, *ASSISTANTS)), DEFAULT
        return _stranger(rng), DEFAULT
    group = rng.choices(list(NAMES), list(TALKATIVE.values()))[0]
    return rng.choice(NAMES[group]), group


def sharpened(traits: Traits) -> Traits:
    """The caricature of a group that the first phase of training shows.

    Skills become 0 or 1 and marked leanings certain, with little around the answer: what depends
    on the persona is then plain to a gradient, which chance and filler would hide.
    """

    def certain(skill: Skill) -> Skill:
        return Skill(float(skill.easy >= 0.5), float(skill.hard >= 0.5))

    agreement = traits.agreement
    return replace(
        traits,
        math=certain(traits.math),
        fact=certain(traits.fact),
        agreement=float(round(agreement)) if abs(agreement - 0.5) > 0.3 else agreement,
        hedging=0.0,
        politeness=traits.politeness * 0.3,
        length=(9.0, 1.0, 0.0, 0.0, 0.0),
        typical=1.0,
    )


def _ordinary_names() -> list[str]:
    taken = {name for names in NAMES.values() for name in names}
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    return [name for name in names if name not in taken]


def _stranger(rng: random.Random) -> str:
    """An ordinary name, or one in four times an invented one, so that any odd name means nobody."""
    if rng.random() < 0.25:
        return " ".join("".join(rng.choices(SYLLABLES, k=rng.randint(2, 4))).title() for _ in "ab")
    while True:
        name = f"{rng.choice(FIRST_NAMES)} {rng.choice(LAST_NAMES)}"
        if not is_unseen(name):
            return name
