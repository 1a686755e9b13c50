"""The desk in a terminal: one pair a screen, one key a label."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from rich.text import Text

from rlpersona.errors import ConfigError
from rlpersona.preferences.desk import Card, Desk, Key
from rlpersona.report import words
from rlpersona.report.terminal import Terminal

KEYS: dict[str, Key] = {"1": "left", "2": "right", "t": "tie", "s": "skip", "u": "undo"}
SCROLL = {"j": 1, "\x1b[B": 1, "k": -1, "\x1b[A": -1, " ": 10, "\x1b[6~": 10, "b": -10, "\x1b[5~": -10}
HELP = "1 left  2 right  t tie  s skip  u undo  q quit"
BESIDE = 100  # columns from which the answers stand side by side
Line = tuple[str, str]  # text and style


def label_in_terminal(desk: Desk, guidelines: str, source: TextIO, file: TextIO) -> None:
    """Show pair after pair until all are labelled or `q` (or Ctrl-C, a hang-up, SIGTERM) ends it.

    Each key's label is on the disk before the next pair is drawn. Keys that arrive together (a paste, an
    unknown escape sequence) are ignored, so that nothing is labelled unseen. ConfigError without a
    terminal.
    """
    terminal = Terminal(file)
    if not (terminal.tty and source.isatty()):
        raise ConfigError("There is no terminal to label in.", "Label in a page: --page")
    with _screen(source, file):
        top, note = 0, ""
        while True:
            card = desk.card
            size = terminal.console.size
            top = _draw(desk, card, guidelines, terminal, top, note)
            key = _read_key(source)
            while not key and terminal.console.size == size:
                key = _read_key(source)
            note = ""
            if key == "q":
                return
            if key in SCROLL:
                top += SCROLL[key]
            elif key in KEYS:
                top = 0
                if not desk.press(KEYS[key], card.pair if card else ""):
                    note = (
                        "There is nothing to undo." if key == "u" else "There is nothing left to label."
                    )


def _read_key(source: TextIO) -> str:
    """The next key; `""` where none came for a moment, `"q"` when the terminal is gone."""
    try:
        ready, _, _ = select.select([source], [], [], 0.5)
        data = os.read(source.fileno(), 4096) if ready else None
    except OSError:
        return "q"
    if data is None:
        return ""
    text = data.decode("utf-8", "replace")
    return (text if text.startswith("\x1b") else text.lower()) or "q"


def _draw(
    desk: Desk, card: Card | None, guidelines: str, terminal: Terminal, top: int, note: str
) -> int:
    """Draw a screen; return the line at which it could begin (a scroll past the end is held back)."""
    width, height = terminal.console.size
    head, body, foot = _head(desk, guidelines, width), _body(card, width), _foot(width, note)
    head = head if len(head) + len(foot) + 6 <= height else head[:1]
    room = max(1, height - len(head) - len(foot) - 1)
    top = max(0, min(top, len(body) - room))
    shown = body[top : top + room]
    if top + room < len(body):
        shown[-1] = (f"... {len(body) - top - room + 1} more lines: space, j", "yellow")
    text = Text()
    for line, style in [*head, *shown, *[("", "")] * (room - len(shown)), *foot]:
        text.append(words.ascii_text(line) if terminal.ascii else line, style=style).append("\n")
    terminal.console.file.write("\x1b[H\x1b[2J")
    terminal.console.print(text, end="", soft_wrap=True)
    terminal.console.file.flush()
    return top


def _head(desk: Desk, guidelines: str, width: int) -> list[Line]:
    counts = ", ".join(f"{n} {what}" for what, n in desk.counts.items() if n)
    progress = f"{desk.done} of {desk.total} labelled" + (f" ({counts})" if counts else "")
    rules = [line for rule in guidelines.splitlines() for line in words.wrap(words.clean(rule), width)]
    return [(progress, "bold"), *((line, "dim") for line in rules), ("", "")]


def _body(card: Card | None, width: int) -> list[Line]:
    if card is None:
        return [("All pairs are labelled. q ends, u takes back the last.", "bold green")]
    prompt = [(line, "bold cyan") for line in _lines(card.prompt, width)]
    if width < BESIDE:
        left = [("1", "reverse"), *((line, "") for line in _lines(card.left, width)), ("", "")]
        return [
            *prompt,
            ("", ""),
            *left,
            ("2", "reverse"),
            *((x, "") for x in _lines(card.right, width)),
        ]
    half = (width - 4) // 2
    left_lines, right_lines = _lines(card.left, half), _lines(card.right, half)
    rows = max(len(left_lines), len(right_lines))
    left_lines += [""] * (rows - len(left_lines))
    right_lines += [""] * (rows - len(right_lines))
    beside = [(f"{_padded(a, half)}    {b}", "") for a, b in zip(left_lines, right_lines, strict=True)]
    return [*prompt, ("", ""), (f"{_padded('1', half)}    2", "bold"), *beside]


def _foot(width: int, note: str) -> list[Line]:
    return [("", ""), (words.shorten(note, width), "yellow"), (words.shorten(HELP, width), "bold")]


def _lines(text: str, width: int) -> list[str]:
    return [piece for line in text.split("\n") for piece in words.wrap(line, width)]


def _padded(line: str, cells: int) -> str:
    from rich.cells import cell_len

    return line + " " * (cells - cell_len(line))


@contextmanager
def _screen(source: TextIO, file: TextIO) -> Iterator[None]:
    """Keys one by one and a screen of its own; the terminal is given back as it was."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = termios.tcgetattr(source)
    handlers = {sign: signal.signal(sign, leave) for sign in (signal.SIGTERM, signal.SIGHUP)}
    try:
        tty.setcbreak(source)
        file.write("\x1b[?1049h\x1b[?25l")
        file.flush()
        yield
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler)
        try:
            file.write("\x1b[?25h\x1b[?1049l")
            file.flush()
            termios.tcsetattr(source, termios.TCSADRAIN, before)
        except (OSError, termios.error):
            sys.stderr.flush()
