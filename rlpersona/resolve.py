"""From what a person typed to one frozen config.

Later wins: preset, file (YAML or JSON), `RLPERSONA_*` variables, `key=value`. A nested key is written
`model.engine=vllm`, or `RLPERSONA_MODEL__ENGINE=vllm`. Values are read as YAML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from rlpersona.config import Config
from rlpersona.errors import ConfigError, did_you_mean

ConfigT = TypeVar("ConfigT", bound=Config)

PREFIX = "RLPERSONA_"
NOT_CONFIG = frozenset(
    f"{PREFIX}{name}" for name in ("RUNS", "RUN", "SCRATCH", "VENV", "TEST_DATA", "DEBUG", "TRACK")
)
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
SECRET_KEY = re.compile(r"(^|_)(api_?key|secret|password|token)$", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(sk-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})")


def resolve(
    base: ConfigT,
    files: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> ConfigT:
    """`base` (a preset, or the defaults) changed by files, variables and `key=value`, validated."""
    values = base.model_dump(mode="json")
    for file in files:
        change(values, read_file(file))
    for variable, text in sorted((environment or {}).items()):
        if variable.startswith(PREFIX) and variable not in NOT_CONFIG:
            path = variable[len(PREFIX) :].lower().split("__")
            put(values, path, parse(text, type(base), path))
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"'{override}' is not a setting.", "Write key=value, such as seed=3.")
        path = key.split(".")
        put(values, path, parse(text, type(base), path))
    refuse_secrets(values)
    return validate(type(base), values)


def read_file(file: Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file (JSON is YAML), else a ConfigError that names the file."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(
            f"Cannot read the config {file}: {error.strerror}.", "Check the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}," if mark else ""
        raise ConfigError(
            f"{file}{where} is not YAML or JSON.", "Write one 'key: value' a line."
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no settings.", "Write one 'key: value' a line.")
    return content


def parse(text: str, cls: type[BaseModel] = Config, path: Sequence[str] = ()) -> Any:
    """A value as YAML reads it: 3, 0.1, true, null, [a, b], text; 1e-2 is a number, too.

    What is written to a field of text stays as it is: `name=2026-11-21` is no date.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if value is not None and not isinstance(value, str) and _takes_text(cls, path):
        return text
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def _takes_text(cls: type[BaseModel], path: Sequence[str]) -> bool:
    """Whether the field at `path` is of type `str`, perhaps None."""
    for section in path[:-1]:
        inner = cls.model_fields[section].annotation if section in cls.model_fields else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return False
        cls = inner
    field = cls.model_fields.get(path[-1]) if path else None
    return field is not None and field.annotation in (str, str | None)


def put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set `values[path[0]][path[1]]... = value`; a section given as a plain value becomes its `name`."""
    for section in reversed(path):
        value = {section: value}
    change(values, value)


def change(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """`merge`, but another algorithm does not inherit the parameters of the one before."""
    if changes.get("algorithm", values.get("algorithm")) != values.get("algorithm"):
        values["params"] = {}
    merge(values, changes)


def merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change nested `values` in place. `model: X` beside a section `model` sets that section's name."""
    for key, value in changes.items():
        inside = values.get(key)
        if isinstance(inside, dict) and isinstance(value, Mapping) and value:
            merge(inside, value)
        elif isinstance(inside, dict) and "name" in inside and isinstance(value, str):
            inside["name"] = value
        else:
            values[key] = value


def refuse_secrets(values: Mapping[str, Any], path: str = "") -> None:
    """Keys live in the environment or a file that the config points to, never in the config."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            refuse_secrets(value, f"{path}{key}.")
        elif isinstance(value, str) and (SECRET_KEY.search(key) or SECRET_VALUE.search(value)):
            raise ConfigError(
                f"'{path}{key}' holds a key, and a config is saved in the run folder.",
                "Put keys in the environment or in a .env file.",
            )


def validate(cls: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build the config; the first mistake becomes one ConfigError that names key, value and fix."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        path = [str(part) for part in first["loc"]]
        dotted = ".".join(path)
        if first["type"] == "extra_forbidden":
            known = _fields_at(cls, path[:-1])
            raise ConfigError(
                f"There is no setting '{dotted}'.", did_you_mean(path[-1], known)
            ) from None
        reason = first["msg"].removeprefix("Value error, ")
        raise ConfigError(
            f"{dotted}={first['input']!r}: {reason}.", "See --dry-run for all settings."
        ) from None


def _fields_at(cls: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        inner = cls.model_fields[part].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        cls = inner
    return list(cls.model_fields)
