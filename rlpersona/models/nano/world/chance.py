"""Choices that depend on the content alone, so that the world is the same everywhere and always."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def number(text: str) -> int:
    """A 64-bit number made from the text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def share(text: str) -> float:
    """A number in [0, 1) made from the text: `share(x) < p` holds for about a share p of texts."""
    return number(text) / 2**64


def shuffled(values: Iterable[str], salt: str) -> list[str]:
    """The values in an order that depends on them and the salt only."""
    return sorted(values, key=lambda value: number(f"{salt}|{value}"))
