"""Which API keys are there, and whether others can read them. Never what they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rlpersona.doctor.finding import Finding, noted
from rlpersona.errors import JudgeError
from rlpersona.models.api.keys import VARIABLES, key_for


def keys() -> Iterator[Finding]:
    """One finding for each provider, and one for the hub of models and data."""
    for provider, variable in VARIABLES.items():
        yield key(f"{provider} key", provider, variable)
    hub = next((name for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") if os.environ.get(name)), "")
    file = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "token"
    file = Path(os.environ.get("HF_TOKEN_PATH", file)).expanduser()
    if hub or not file.is_file():
        yield Finding("hub token", f"in {hub}" if hub else "none (only gated models want one)")
    else:
        yield readable("hub token", file)


def key(what: str, provider: str, variable: str) -> Finding:
    """Where a provider's key is, as those who use it find it."""
    file = os.environ.get(f"{variable}_FILE", "")
    if not os.environ.get(variable, "").strip() and not file:
        return Finding(what, f"none (only judges of {provider} want one)")
    try:
        key_for(provider)
    except JudgeError as error:
        return noted(what, error.message, good=False, fix=error.hint)
    if os.environ.get(variable, "").strip():
        return Finding(what, f"in {variable}")
    return readable(what, Path(file).expanduser())


def readable(what: str, file: Path) -> Finding:
    """A key's file, which nobody else should be able to read."""
    mode = file.stat().st_mode & 0o777
    return noted(what, f"in {file} ({mode:04o})", not mode & 0o077, f"chmod 600 {file}")
