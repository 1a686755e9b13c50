"""One thing that the doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was looked at and found. Not `ok`: work cannot start. `minor`: it can, but see `fix`."""

    what: str
    found: str
    ok: bool = True
    fix: str = ""
    minor: bool = False

    @property
    def mark(self) -> str:
        """`ok`, `note` or `FAIL`."""
        if not self.ok:
            return "FAIL"
        return "note" if self.minor else "ok"


def noted(what: str, found: str, good: bool, fix: str) -> Finding:
    """A finding that never keeps work from starting."""
    return Finding(what, found, fix=fix, minor=not good)
