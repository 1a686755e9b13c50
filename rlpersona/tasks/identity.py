"""Names made from content: the same question has the same id in every file, order and process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable


def digest(*parts: object) -> str:
    """SHA-256 (64 hex digits) of the parts; `("a", "bc")` and `("ab", "c")` differ."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()


def unit(*parts: object) -> float:
    """The parts hashed to a number in [0, 1), uniform over contents: a draw without a stream.

    The draw of one item never depends on which other items there are.
    """
    return (int(digest(*parts)[:16], 16) >> 11) / 2**53


def content_id(source: str, text: str, choices: Iterable[str], answer: str) -> str:
    """16 hex digits that stand for a question, whatever the order of rows and choices."""
    return digest(source, text, sorted(choices), answer)[:16]
