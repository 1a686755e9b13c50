"""Model names of requests: what they may look like, and what they say.

    base                        the base model
    persona:Marie Curie         the base under the system prompt of a persona
    bandit:RUN                  a persona drawn from the policy that RUN learned
    RUN, RUN@STEP               what RUN ended with; a step that it kept
    RUN/PART, RUN/PART@STEP     a condition of a sweep, a stage of a graph

A name is taken apart here and then looked up among what is served: no part of it becomes a path.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from rlpersona.config import BASE
from rlpersona.errors import UnknownModelError

Kind = Literal["base", "persona", "bandit", "trained"]

PERSONA, BANDIT = "persona:", "bandit:"
LONGEST = 200  # characters of a name
LONGEST_PERSON = 100  # characters of a persona's name
JOINERS = dict.fromkeys(map(ord, "\u200c\u200d"))  # unseen, but how Persian and Indic names are spelt
FORMS = "Names are base, persona:NAME, bandit:RUN, RUN, RUN@STEP, RUN/PART; see GET /v1/models."
TRAINED = re.compile(
    r"(?P<run>[A-Za-z0-9._-]{1,64})(/(?P<part>[A-Za-z0-9._=,+-]{1,120}))?(@(?P<step>[0-9]{1,9}))?"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A model name taken apart; `name` is the run's or the persona's, `step` None for the last."""

    kind: Kind
    name: str = ""
    part: str = ""
    step: int | None = None


def parse(model: str) -> Name:
    """What a model name says; UnknownModelError, which repeats it cut and made harmless, for no name."""
    if len(model) > LONGEST:
        raise UnknownModelError(
            f"The model name has {len(model):,} characters; {LONGEST} are allowed.", FORMS
        )
    if model == BASE:
        return Name("base")
    if model.startswith(PERSONA):
        return Name("persona", person(model.removeprefix(PERSONA)))
    kind: Kind = "bandit" if model.startswith(BANDIT) else "trained"
    found = TRAINED.fullmatch(model.removeprefix(BANDIT) if kind == "bandit" else model)
    if not found or not found["run"].strip("."):
        raise UnknownModelError(f"{shown(model)} is no model name.", FORMS)
    if kind == "bandit" and (found["part"] or found["step"]):
        raise UnknownModelError(f"{shown(model)}: a policy has no parts and no steps.", FORMS)
    return Name(kind, found["run"], found["part"] or "", int(found["step"]) if found["step"] else None)


def person(text: str) -> str:
    """A persona's name, on one line with single blanks; UnknownModelError where it cannot be one."""
    name = " ".join(text.split())
    seen = name.translate(JOINERS)
    if not seen or len(name) > LONGEST_PERSON or not seen.isprintable():
        raise UnknownModelError(
            f"{shown(text)} cannot be a persona's name.",
            f"Give one line of 1 to {LONGEST_PERSON} printable characters.",
        )
    return name


def same(name: str) -> str:
    """Equal for names that differ only in case, spaces or Unicode form, as in a roster."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def shown(text: str) -> str:
    """A foreign text for an error: in quotes, escaped, at most 80 characters of it."""
    return ascii(text[:80]) + ("..." if len(text) > 80 else "")
