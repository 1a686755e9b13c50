"""What the stream at hand can show: colours on a terminal only, ASCII where more is not promised."""

from __future__ import annotations

import os
from typing import TextIO

from rich.console import Console

from rlpersona.report.words import ascii_text, clean

PLAIN_WIDTH = 120


class _Console(Console):
    """A console that leaves a lost reader to its caller; rich would end the process instead."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError("nobody reads the output any more")


class _AsciiConsole(_Console):
    """A console that draws its bars and lines in ASCII, whatever the stream could encode."""

    @property
    def encoding(self) -> str:
        return "ascii"


class Terminal:
    """A rich console for a stream, and text that the stream can hold.

    `tty` says whether a person watches; elsewhere nothing is coloured and no escape code is written.
    """

    def __init__(self, file: TextIO) -> None:
        self.tty = file.isatty() and os.environ.get("TERM") != "dumb"
        self.ascii = not _shows_unicode(file)
        self.console = (_AsciiConsole if self.ascii else _Console)(
            file=file,
            force_terminal=self.tty,
            force_jupyter=False,
            width=None if self.tty else PLAIN_WIDTH,
            highlight=False,
            markup=False,
            emoji=False,
        )

    def text(self, text: str) -> str:
        """Foreign text as it may be written here: inert, and in ASCII where nothing else is sure."""
        return ascii_text(clean(text)) if self.ascii else clean(text)


def _shows_unicode(file: TextIO) -> bool:
    """Whether the stream's encoding and the user's locale are both UTF-8.

    Python turns LANG=C into UTF-8 for itself by setting LC_CTYPE=C.UTF-8 (PEP 538), which says
    nothing of the terminal: that value only counts if LANG agrees.
    """
    if (file.encoding or "").lower().replace("-", "") != "utf8":
        return False
    ctype = os.environ.get("LC_CTYPE", "")
    locale = (
        os.environ.get("LC_ALL") or (ctype if ctype != "C.UTF-8" else "") or os.environ.get("LANG", "")
    )
    return "utf8" in locale.lower().replace("-", "")
