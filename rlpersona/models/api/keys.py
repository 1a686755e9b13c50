"""API keys: read from the environment or from a file that it names, and shown nowhere."""

from __future__ import annotations

import os
from pathlib import Path

from rlpersona.errors import JudgeError

VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


class Secret(str):
    """A key. Its repr hides it, so that a traceback that shows variables does not show the key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret(***)"


def key_for(provider: str, base_url: str = "") -> Secret:
    """The provider's key, from `OPENAI_API_KEY` or the file named by `OPENAI_API_KEY_FILE` (and so on).

    A server of one's own (`base_url`) may want no key: without one, it is sent the word `none`.

    Raises:
        JudgeError: no key, a file that cannot be read, a key with characters that no key has.
    """
    if provider not in VARIABLES:
        raise JudgeError(f"unknown provider '{provider}'", f"Known: {', '.join(VARIABLES)}.")
    variable = VARIABLES[provider]
    file = f"{variable}_FILE"
    fix = f"Set {variable}, or {file} to the path of a file that holds it."
    key, source = os.environ.get(variable, "").strip(), variable
    if not key and os.environ.get(file):
        source = f"{file}={os.environ[file]}"
        try:
            key = Path(os.environ[file]).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise JudgeError(f"the key file cannot be read: {source} ({reason})", fix) from None
    if not key and base_url and source == variable:
        return Secret("none")
    if not key:
        raise JudgeError(f"no API key for {provider}: {source} is empty", fix)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise JudgeError(f"the API key in {source} has blanks or characters that no key has", fix)
    return Secret(key)


def redact(text: str, key: str) -> str:
    """The text without the key."""
    return text.replace(str(key), "***") if len(key) >= 8 else text
