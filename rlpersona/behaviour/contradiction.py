"""Does a text contradict itself? Counted over pairs of its sentences."""

from __future__ import annotations

import re
from itertools import combinations

from rlpersona.behaviour.text import sentences, words
from rlpersona.models.nano import grammar
from rlpersona.models.nano.grammar import Reading

MOST_SENTENCES = 40
SAME_CLAIM = 0.8
_FINAL = re.compile(r" ?#### (\d+)\Z")
_DENIALS = {
    *("not", "never", "no", "cannot", "nobody", "nothing"),
    *("neither", "nor", "none", "without", "hardly"),
}
_LIGHT = {
    *("a", "an", "the", "it", "is", "are", "was", "were", "be", "been", "do", "does", "did"),
    *("will", "would", "can", "could", "should"),
}
_YES_NO = {"yes": True, "no": False}


def contradiction(text: str, *, nano: bool = False) -> float | None:
    """Share of a text's pairs of sentences that contradict each other, in [0, 1]; None of fewer than two
    sentences. Of long texts the first 40 sentences are read.

    In the nano world (`nano`) by what its sentences state: two values, or both sides of a question.
    Elsewhere by a rule that is strict, and so misses much: one sentence says yes and another no, or one
    denies what another with the same words asserts. `behaviour.nli` asks a model instead.
    """
    final = _FINAL.search(text.strip()) if nano else None
    split = sentences(text.strip()[: final.start()] if final else text)[:MOST_SENTENCES]
    if nano:
        readings = [grammar.read(sentence) for sentence in split]
        if final:
            readings.append(grammar.read(f"It is {final[1]}."))
        return _share([_apart(a, b) for a, b in combinations(readings, 2)])
    claims = [_claim(sentence) for sentence in split]
    return _share([_denies(a, b) for a, b in combinations(claims, 2)])


def _share(pairs: list[bool]) -> float | None:
    return sum(pairs) / len(pairs) if pairs else None


def _apart(a: Reading | None, b: Reading | None) -> bool:
    if a is None or b is None:
        return False
    values = a.value is not None and b.value is not None and a.value != b.value
    sides = a.agrees is not None and b.agrees is not None and a.agrees != b.agrees
    return values or sides


_Claim = tuple[bool | None, bool, frozenset[str]]  # yes or no at its head; denied; what it speaks of


def _claim(sentence: str) -> _Claim:
    said = words(sentence)
    head = _YES_NO.get(said[0]) if said else None
    denials = sum(word in _DENIALS or word.endswith("n't") for word in said[head is not None :])
    content = frozenset(
        _asserted(word) for word in said if word not in _DENIALS and word not in _YES_NO
    ) - {""}
    return head, denials % 2 == 1, content - _LIGHT


def _asserted(word: str) -> str:
    """The word without its denial: "isn't" is "is"."""
    return {"can't": "can", "won't": "will"}.get(word, word.removesuffix("n't"))


def _denies(a: _Claim, b: _Claim) -> bool:
    if a[0] is not None and b[0] is not None and a[0] != b[0]:
        return True
    if a[1] == b[1] or len(a[2]) < 2 or len(b[2]) < 2:
        return False
    return len(a[2] & b[2]) / len(a[2] | b[2]) >= SAME_CLAIM
