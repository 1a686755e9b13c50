"""Prefixes that name nobody: shapes kept, nobody real named, the same every time."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rlpersona.errors import ConfigError
from rlpersona.personas import load_personas
from rlpersona.personas.controls import empty_persona, nonsense_personas
from rlpersona.types import Persona

PREFIX = "You are {name}."
letters = st.characters(categories=["Lu", "Ll", "Lo", "Mn", "Nd", "Pd", "Po"])
words = st.text(letters, min_size=3, max_size=9)
names = st.lists(words, min_size=1, max_size=4).map(" ".join)


def invented(person: Persona) -> str:
    found = re.fullmatch(r"You are (.*)\.", person.system or "", re.DOTALL)
    assert found
    assert person.name == f"(nonsense: {found[1]})"
    return found[1]


def test_the_empty_name_leaves_the_sentence() -> None:
    assert empty_persona(PREFIX) == Persona("(empty name)", "You are .")
    assert empty_persona("As {name}: {name}!").system == "As : !"


@given(given_names=st.lists(names, min_size=1, max_size=6), seed=st.integers(0, 9))
def test_nonsense_has_the_shape_of_its_model(given_names: list[str], seed: int) -> None:
    like = [Persona(name, None, "poet", "Modern", 1900, 3.0) for name in given_names]
    people = nonsense_personas(like, PREFIX, seed)
    assert people == nonsense_personas(like, PREFIX, seed)
    made = [invented(person) for person in people]
    assert [[len(word) for word in name.split()] for name in made] == [
        [len(word) for word in name.split()] for name in given_names
    ]
    assert [len(name) for name in made] == [len(name) for name in given_names]
    assert {name.casefold() for name in made}.isdisjoint(name.casefold() for name in given_names)
    assert len({name.casefold() for name in made}) == len(made)
    assert all(
        (person.field, person.era, person.birth_year, person.fame) == (None,) * 4 for person in people
    )


@given(name=st.text(min_size=3, max_size=20))
def test_any_text_keeps_its_length(name: str) -> None:
    assume(not name.isspace())
    (person,) = nonsense_personas([Persona(name, None)], PREFIX, 0)
    made = invented(person)
    assert len(made) == len(name)
    assert len(made.split()) == len(name.split())


def test_capitals_digits_and_signs_stay() -> None:
    like = [
        Persona(n, None)
        for n in ("Ludwig van Beethoven", "J. R. R. Tolkien", "50 Cent", "Jean-Luc O'Hara")
    ]
    shapes = [
        re.sub("[a-z]", "x", re.sub("[A-Z]", "X", invented(p)))
        for p in nonsense_personas(like, PREFIX, 1)
    ]
    assert shapes == ["Xxxxxx xxx Xxxxxxxxx", "X. X. X. Xxxxxxx", "50 Xxxx", "Xxxx-Xxx X'Xxxx"]


def test_nonsense_can_be_spoken() -> None:
    like = [Persona("Alexandria", None)] * 300
    made = [invented(person).lower() for person in nonsense_personas(like, PREFIX, 0)]
    assert not [name for name in made if re.search(r"[^aeiou]{3}|[aeiou]{2}|[^aeiou]{2}$", name)]


def test_nobody_real_is_named() -> None:
    roster = load_personas("notable")
    taken = {person.name.casefold() for person in roster}
    long_words = {word for name in taken for word in name.split() if len(word) >= 4}
    like = load_personas("notable", sample="famous", limit=300)
    made = [
        invented(person).casefold()
        for person in nonsense_personas(like, PREFIX, 0, avoid=(person.name for person in roster))
    ]
    assert taken.isdisjoint(made)
    assert long_words.isdisjoint(word for name in made for word in name.split())


def test_a_seed_changes_the_name_and_company_does_not() -> None:
    marie, bob = Persona("Marie Curie", None), Persona("Bob Dylan", None)
    alone = nonsense_personas([marie], PREFIX, 0)
    assert nonsense_personas([bob, marie], PREFIX, 0)[1:] == alone
    assert nonsense_personas([marie], PREFIX, 1) != alone


def test_a_name_too_short_to_be_invented_anew() -> None:
    with pytest.raises(ConfigError, match="'X'") as caught:
        nonsense_personas([Persona("X", None)], PREFIX, 0, avoid="bcdfghjklmnprstvz")
    assert caught.value.hint
