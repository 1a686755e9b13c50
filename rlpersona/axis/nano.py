"""Roles, traits and questions of the nano world, as the pipeline of the axis takes them.

A role is a named person of a planted group, put on by several wordings. A trait is a contrast of the
groups that differ most in it; they differ in other things, too, so its vector is never of the trait
alone.
"""

from __future__ import annotations

from itertools import chain, zip_longest

from rlpersona.axis.roles import DEFAULT, Role, Trait
from rlpersona.models.nano.world.items import DOMAINS
from rlpersona.models.nano.world.personas import ASSISTANTS, NAMES, personas
from rlpersona.tasks import nano
from rlpersona.types import Question

WORDINGS = ("You are {}.", "Act as {}.", "Respond as {}.", "Be {}.", "Play the role of {}.")
PER_DOMAIN = 16
# trait: (groups that show it most, groups that show it least), by the table in world/personas.py.
CONTRASTS = {
    "agreement": (("courtier",), ("critic",)),
    "politeness": (("teacher", "courtier"), ("soldier", "critic")),
    "truth": (("scientist", "scholar"), ("liar",)),
    "length": (("poet",), ("soldier",)),
}


def roles() -> list[Role]:
    """The default, then every named person of the world."""
    own = (None, *(WORDINGS[0].format(name) for name in ASSISTANTS))
    people = personas()
    return [
        Role(DEFAULT, own, group=DEFAULT),
        *(Role(p.name, tuple(w.format(p.name) for w in WORDINGS), group=p.group) for p in people),
    ]


def traits() -> list[Trait]:
    """The contrasts, groups of one side taking turns."""
    return [Trait(name, _prompts(high), _prompts(low)) for name, (high, low) in CONTRASTS.items()]


def questions() -> list[Question]:
    """The first questions of every domain, the domains taking turns."""
    each = [nano.questions((domain,), per_domain=PER_DOMAIN) for domain in DOMAINS]
    return [one for one in chain(*zip_longest(*each)) if one is not None]


def _prompts(groups: tuple[str, ...]) -> tuple[str, ...]:
    names = chain(*zip_longest(*(NAMES[group] for group in groups)))
    return tuple(WORDINGS[0].format(name) for name in names if name is not None)
