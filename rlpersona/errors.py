"""Every error that a user can cause or meet, each with its exit code and a hint that names the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal


class PersonaError(Exception):
    """Root of the tree. `str(error)` says what happened and which value; `hint` how to fix it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type[PersonaError], tuple[str, str], dict[str, object]]:
        # Errors cross process borders; the default would drop the hint. The last part holds notes.
        return type(self), (self.message, self.hint), self.__dict__


class ConfigError(PersonaError):
    """A config that cannot be: unknown key or preset, wrong type, a value out of range."""

    exit_code = 2


class DataError(PersonaError):
    """Data that cannot be read: a missing file, a malformed row, an empty roster."""

    exit_code = 3


class ModelError(PersonaError):
    """A model that cannot be loaded or used: no tokenizer, no weights, a prompt over the window."""

    exit_code = 4


class RunError(PersonaError):
    """A run folder that cannot be used: unknown name, broken files."""

    exit_code = 5


class RunExistsError(RunError):
    """The name is taken and `--resume` was not given."""

    exit_code = 6


class RunChangedError(RunError):
    """A resume whose config differs from the one that the run was started with."""

    exit_code = 7


class RunLockedError(RunError):
    """Another process works on this run."""

    exit_code = 8


class StorageError(PersonaError):
    """The disk is full or the folder cannot be written."""

    exit_code = 9


class ReplicaError(PersonaError):
    """Model replicas died more often than the pool replaces them."""

    exit_code = 10


Kind = Literal[
    "rate",  # 429: too many requests or tokens
    "server",  # 5xx, overloaded
    "timeout",
    "connection",  # refused, reset, a reply cut short
    "auth",  # 401, 403
    "funds",  # no credit or quota left
    "request",  # 400, 404, 413, 422: asking again gives the same
    "filter",  # refused by a content filter
    "cutoff",  # the answer hit the token cap
    "unparsed",  # the answer cannot be read as what was asked for
]


class CallError(PersonaError):
    """A call to a model behind an API failed. `kind` decides what is done about it."""

    exit_code = 11

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        kind: Kind = "server",
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint)
        self.kind, self.status, self.retry_after = kind, status, retry_after


class JudgeError(PersonaError):
    """A judge cannot do its work: no key, no funds, a request that it refuses."""

    exit_code = 12


class CostError(PersonaError):
    """The cost cap is reached; what was paid for is kept."""

    exit_code = 13


class ServeError(PersonaError):
    """A service that cannot start, or a cluster that takes no jobs."""

    exit_code = 14


class UnknownModelError(PersonaError):
    """A model name of a request that stands for nothing that is served."""

    exit_code = 15


class UnknownResponseError(PersonaError):
    """Feedback about a response that no policy gave."""

    exit_code = 16


class ConflictError(PersonaError):
    """Feedback that contradicts what was said of the same response before."""

    exit_code = 17


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its class where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`"Did you mean 'nano'?"` for the nearest known word, else the list of what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""
