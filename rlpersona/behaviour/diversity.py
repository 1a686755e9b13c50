"""How much texts repeat themselves and each other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from statistics import fmean

from rlpersona.behaviour.text import words


def repetition(text: str, n: int = 4) -> float:
    """Share of a text's n-word sequences that occurred before in it, in [0, 1]; 0 of fewer words."""
    said = words(text)
    grams = [tuple(said[i : i + n]) for i in range(len(said) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_n(texts: Sequence[str], n: int = 2) -> float | None:
    """Distinct n-word sequences over all of them, in texts together, in (0, 1] (distinct-n, Li et al.
    2016, arXiv:1510.03055). It falls with length: compare at like lengths. None where there is no
    sequence."""
    grams = [tuple(said[i : i + n]) for said in map(words, texts) for i in range(len(said) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def self_overlap(samples: Sequence[str]) -> float | None:
    """How alike samples of one prompt are, in [0, 1]: the mean over pairs of shared over all distinct
    two-word sequences (Jaccard). Two texts without any are alike if their words are. None of fewer than
    two samples."""
    sets = [_pairs(words(text)) for text in samples]
    return fmean(_jaccard(a, b) for a, b in combinations(sets, 2)) if len(sets) > 1 else None


def _pairs(said: list[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(pairwise(said)) if len(said) > 1 else frozenset((word,) for word in said)


def _jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b) if a | b else 1.0
