"""Foreign text in a judge's prompt: fenced off, made inert, watched for attempts to sway the judge.

A judge reads text that the judged models wrote. Delimiters that such a text could guess would let it
end its own block and speak as the examiner, so each call's delimiters carry a code of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping

# Zero-width joiner and non-joiner are part of emoji and of Persian; the rest of category Cf is unseen.
_KEPT = frozenset("\n\t\u200c\u200d")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Cn"})
_REPLACED = "\ufffd"


def inert(text: str) -> str:
    """The text with what cannot be seen replaced by U+FFFD; line ends are `\\n`.

    Control characters, direction overrides, Unicode tags (which models read and people do not) and
    lone surrogates (which no request can carry) go; everything visible stays.
    """
    text = re.sub(r"\r\n?|[\u2028\u2029\x0b\x0c\x85]", "\n", text)
    return "".join(
        char if char in _KEPT or unicodedata.category(char) not in _UNSEEN else _REPLACED
        for char in text
    )


def nonce(texts: Mapping[str, str], salt: str = "") -> str:
    """Sixteen hex digits that occur in none of the texts, the same for the same texts and salt.

    A hash of all the texts: who writes one of them cannot know it without knowing the others, and a
    text that holds its own hash cannot be found. The same request has the same code when it is
    repeated, so it is found in the ledger.
    """
    held = "\n".join(texts.values()).casefold()
    for attempt in range(2**16):
        said = json.dumps([salt, attempt, *texts.items()], ensure_ascii=False)
        code = hashlib.sha256(said.encode("utf-8", "backslashreplace")).hexdigest()[:16]
        if code not in held:
            return code
    raise AssertionError("every code of 65,536 occurs in the texts")


def fence(texts: Mapping[str, str], salt: str = "") -> tuple[str, str]:
    """(code, block): the texts made inert, each between its delimiters, in the order of the mapping.

    `texts` maps a label in capitals (`"ANSWER A"`) to the text.
    """
    safe = {label: inert(text) for label, text in texts.items()}
    code = nonce(safe, salt)
    parts = [f"[BEGIN {label} {code}]\n{text}\n[END {label} {code}]" for label, text in safe.items()]
    return code, "\n\n".join(parts)
