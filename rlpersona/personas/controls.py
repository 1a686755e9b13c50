"""Prefixes that name nobody: what a sentence of this shape does, whoever is named in it.

A gain of "You are Marie Curie." over no system prompt may come from her, from any name, or from the mere
presence of a sentence. The empty name tests the sentence, nonsense names test a name of that length.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Iterable, Sequence

from rlpersona.errors import ConfigError
from rlpersona.tasks.identity import digest
from rlpersona.types import Persona

EMPTY_NAME = "(empty name)"
CONSONANTS = "bcdfghjklmnprstvz"
VOWELS = "aeiou"
CODAS = "lmnrs"
DRAWS = 2000
# Shorter words ("de", "Van") are too few to be kept apart from all real ones.
OWN_WORD = 4


def empty_persona(prefix: str) -> Persona:
    """The prefix with nothing where the name stands: `"You are {name}."` gives `"You are ."`."""
    return Persona(name=EMPTY_NAME, system=prefix.replace("{name}", ""))


def nonsense_personas(
    like: Sequence[Persona], prefix: str, seed: int, avoid: Iterable[str] = ()
) -> list[Persona]:
    """For each persona of `like` one with an invented name of the same shape, in their order.

    A name keeps the number of characters and words, the spaces, punctuation, digits and capitals of its
    model; only the letters are replaced, by consonants and vowels that can be spoken. It is no name in
    `like` or `avoid` (case aside), shares no word of four or more letters with them, and is given once.
    Nothing else is known of nonsense: field, era and fame are None. The same arguments give the same
    names. Raises ConfigError for a name so short that no such name is left.
    """
    names = [person.name for person in like]
    known = {name.casefold() for name in (*names, *avoid)}
    words = {word for name in known for word in _words(name)}
    people = []
    for name in names:
        rng = random.Random(digest("nonsense", seed, name))
        invented = _unknown(name, known, words, rng)
        known.add(invented.casefold())
        system = prefix.replace("{name}", invented)
        people.append(Persona(name=f"(nonsense: {invented})", system=system))
    return people


def _unknown(name: str, known: set[str], words: set[str], rng: random.Random) -> str:
    for _ in range(DRAWS):
        invented = _invent(name, rng)
        folded = invented.casefold()
        if folded not in known and words.isdisjoint(_words(folded)):
            return invented
    raise ConfigError(
        f"no invented name is left with the shape of {name!r}",
        "Leave the nonsense control out of this run.",
    )


def _words(name: str) -> list[str]:
    """The words that must not be shared; one without letters ("2000") stays as it is."""
    return [word for word in name.split() if len(word) >= OWN_WORD and any(map(_is_letter, word))]


def _invent(name: str, rng: random.Random) -> str:
    """`name` with each run of letters replaced; where it has none, of everything but the spaces."""
    letters = [_is_letter(char) for char in name]
    if not any(letters):
        letters = [not char.isspace() for char in name]
    out, start = list(name), 0
    while start < len(name):
        end = start + 1
        while end < len(name) and letters[end] == letters[start]:
            end += 1
        if letters[start]:
            sounds = _sounds(end - start, rng)
            pairs = zip(sounds, name[start:end], strict=True)
            out[start:end] = [sound.upper() if char.isupper() else sound for sound, char in pairs]
        start = end
    return "".join(out)


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"


def _sounds(length: int, rng: random.Random) -> str:
    """So many lower-case letters: syllables of consonant and vowel, some closed by l, m, n, r or s."""
    text = rng.choice(VOWELS) if length > 1 and rng.random() < 0.2 else ""
    while len(text) < length:
        text += rng.choice(CONSONANTS) + rng.choice(VOWELS)
        left = length - len(text)
        if left != 2 and rng.random() < 0.35:  # with two left, the cut would end in two consonants
            text += rng.choice(CODAS)
    return text[:length]
