"""What a job's environment may hold: settings and paths, never a key, since the dashboard shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlpersona.errors import ConfigError
from rlpersona.models.api.keys import VARIABLES
from rlpersona.resolve import NOT_CONFIG, PREFIX, SECRET_VALUE

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET_NAME = re.compile(r"(^|_)(key|token|secret|password|credentials)$", re.IGNORECASE)
KEY_FILES = tuple(f"{name}_FILE" for name in VARIABLES.values())
# Of other keys, the variable that names a file instead.
BY_FILE = {name: f"{name}_FILE" for name in VARIABLES.values()} | {
    "HF_TOKEN": "HF_TOKEN_PATH",
    "WANDB_API_KEY": "NETRC",
    "RAY_AUTH_TOKEN": "RAY_AUTH_TOKEN_PATH",
}
URL_PASSWORD = re.compile(r"://[^/\s@]*:[^/\s@]+@")
SHORTEST_KEY = 8


def variables(named: Sequence[str], file: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """The job's variables: `named` as NAME or NAME=VALUE, those of a `.env` file, and what goes unasked.

    Unasked go the settings of this environment (RLPERSONA_*, but for what is no part of a config), so
    that the job resolves the same config, and the names of key files.

    Raises:
        ConfigError: a name that no variable has or that is not set, or the value of a key.
    """
    found = {
        name: value
        for name, value in environment.items()
        if name in KEY_FILES or (name.startswith(PREFIX) and name not in NOT_CONFIG)
    }
    if file is not None:
        from dotenv import dotenv_values

        found |= {name: value or "" for name, value in dotenv_values(file).items()}
    for word in named:
        name, equals, value = word.partition("=")
        if not NAME.fullmatch(name):
            raise ConfigError(f"'{name}' is no name of a variable.", "--env NAME or --env NAME=VALUE")
        if not equals and name not in environment:
            raise ConfigError(f"{name} is not set here.", f"Set it, or write --env {name}=VALUE.")
        found[name] = value if equals else environment[name]
    for name, value in found.items():
        if SECRET_NAME.search(name) or is_key(value, environment):
            raise ConfigError(
                f"{name} holds a key, and everybody who sees the dashboard sees a job's variables.",
                fix(name),
            )
    return {name: expanded(name, value) for name, value in sorted(found.items())}


def refuse_keys(words: Sequence[str], environment: Mapping[str, str]) -> None:
    """ConfigError where a key stands in the words of a command, which the dashboard shows as well."""
    for place, word in enumerate(words, start=1):
        if is_key(word, environment):
            raise ConfigError(
                f"Word {place} holds a key, and everybody who sees the dashboard sees a job's command.",
                fix(VARIABLES["openai"]),
            )


def is_key(text: str, environment: Mapping[str, str]) -> bool:
    """Whether a text looks like a key, has a password in a URL, or holds a key of the environment."""
    keys = (value for name, value in environment.items() if SECRET_NAME.search(name))
    return any(pattern.search(text) for pattern in (SECRET_VALUE, URL_PASSWORD)) or any(
        len(key) >= SHORTEST_KEY and key in text for key in keys
    )


def fix(name: str) -> str:
    """How a job gets a key without its value being passed on."""
    file = BY_FILE.get(name)
    if file is None:
        return f"Set {name} in the environment that the cluster itself is started in."
    return f"Put it in a file on the cluster, mode 0600, and pass the path: --env {file}=/PATH"


def expanded(name: str, value: str) -> str:
    """A path as the job must see it: whole, since it starts elsewhere."""
    return str(Path(value).expanduser().absolute()) if name in KEY_FILES else value
