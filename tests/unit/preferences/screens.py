"""A program in a pseudo-terminal, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path


class Screen:
    """A process whose terminal is ours: `wait_for` text on its screen, `press` keys, `kill` it."""

    def __init__(
        self, command: list[str], columns: int = 110, rows: int = 30, **environment: str
    ) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # The size is that of this terminal, not of the one that the tests run in.
            env={
                **{name: os.environ[name] for name in os.environ.keys() - {"COLUMNS", "LINES"}},
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                "LC_ALL": "C.UTF-8",
                **environment,
            },
        )
        self.settings = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = ""

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Read until `text` is there; return all up to it and forget it."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not come: {self.seen[-2000:]!r}"
            if select.select([self.master], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:
                    raise AssertionError(f"ended without {text!r}: {self.seen[-2000:]!r}") from None
            elif self.process.poll() is not None:
                raise AssertionError(f"ended without {text!r}: {self.seen[-2000:]!r}")
        head, _, self.seen = self.seen.partition(text)
        return head + text

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        self.process.send_signal(how)
        return self.finish()

    def finish(self, seconds: float = 30) -> int:
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        code = self.process.wait(1)
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
        return code

    def restored(self) -> bool:
        """Whether the terminal is as it was before."""
        return termios.tcgetattr(self.slave) == self.settings

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)
        os.close(self.master)


def labels_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
