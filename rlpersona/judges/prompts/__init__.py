"""The judge's instructions: one text file per version, `NAME-vN.txt`.

A file has two parts, the system message (empty in `again`) and the user's, divided by a line `=====`.
`$nonce` stands for the code in the delimiters, `$texts` for the fenced texts to be judged; a file may
name further fields. Any change of wording is a file of its own with the next number, so that a
version means one text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from rlpersona.errors import ConfigError, did_you_mean
from rlpersona.types import Message

FOLDER = Path(__file__).resolve().parent
_DIVIDER = "\n=====\n"


@dataclass(frozen=True)
class Instructions:
    """A version of the judge's instructions, to be filled in."""

    version: str
    system: str
    user: str

    def messages(self, **fields: str) -> tuple[Message, ...]:
        """The two messages. What stands in a field is never read as a placeholder itself."""
        return (
            Message("system", Template(self.system).substitute(fields)),
            Message("user", Template(self.user).substitute(fields)),
        )


@cache
def load(version: str) -> Instructions:
    """The instructions of a version such as `"pairwise-v1"` (ConfigError if there is no such file)."""
    known = {file.stem: file for file in FOLDER.glob("*.txt")}
    if version not in known:
        raise ConfigError(f"no judge prompt {version!r}", did_you_mean(version, known))
    text = "\n" + known[version].read_text(encoding="utf-8")
    system, _, user = text.partition(_DIVIDER)
    return Instructions(version, system.strip(), user.strip())
