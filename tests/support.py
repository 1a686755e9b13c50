"""What several test files share."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class Memory:
    """Checkpoints that outlive an interruption; states cross JSON, as on disk."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.saved: list[str] = []
        self.stop_after = stop_after

    def load(self) -> dict[str, Any] | None:
        return json.loads(self.saved[-1]) if self.saved else None  # type: ignore[no-any-return]

    def save(self, state: dict[str, Any], metrics: dict[str, float]) -> None:
        self.saved.append(json.dumps(state))
        if len(self.saved) == self.stop_after:
            raise InterruptedError


@dataclass(frozen=True)
class Finished:
    """A finished run: its folder and what the command printed."""

    folder: Path
    printed: str


def rlpersona(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "rlpersona.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=900, check=False)


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.05) -> None:
    """Poll until the condition holds; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(every)
