"""Train, validation and test: by prompt, by hash, so that no prompt is ever in two of them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal

from rlpersona.config import SplitConfig
from rlpersona.preferences.pairs import Pair
from rlpersona.tasks.identity import unit

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")


def plain(prompt: str) -> str:
    """A prompt without case, width and superfluous white space: what makes two of them the same."""
    return " ".join(unicodedata.normalize("NFKC", prompt).casefold().split())


def part_of(prompt: str, shares: SplitConfig, seed: int) -> Part:
    """The part a prompt belongs to, decided by its text and the seed alone: more prompts move none.

    Prompts that differ only in case, width or white space belong together.
    """
    place = unit("part", seed, plain(prompt))
    if place < shares.train:
        return "train"
    return "validation" if place < shares.train + shares.validation else "test"


def split(pairs: Sequence[Pair], shares: SplitConfig, seed: int) -> dict[Part, list[Pair]]:
    """The pairs of each part, in their order. Shares are kept up to chance, prompts never shared."""
    parts: dict[Part, list[Pair]] = {part: [] for part in PARTS}
    for pair in pairs:
        parts[part_of(pair.prompt, shares, seed)].append(pair)
    return parts
