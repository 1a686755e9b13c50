"""Programs that a model wrote, run with their tests: in a process of their own, limited and cut off.

Each runs under `python -I -S` in an empty folder that is deleted afterwards, with an empty environment,
limits on CPU time, memory, file size and open files, no right to start processes, and, where the kernel
lets it (namespaces, seccomp; `Outcome.given_up` says), no network and nothing writable but its folder.
When the time is up the whole process group is killed.

A pass needs a verdict with a token that only comes after the last test, so that leaving early
(`sys.exit(0)`, `os._exit(0)`) is a failure. This holds against accidents and the shortcuts that
training finds. It is no prison: a program written to forge verdicts (reading its caller's frames,
objects equal to everything) can, and files that the user may read can be read.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_JAIL = Path(__file__).with_name("jail.py")
_MOST_NEWS = 4096


@dataclass(frozen=True)
class Limits:
    """What one program may use: seconds of CPU time, bytes of memory and of a file.

    By the clock it has twice the seconds and two more, so that a busy machine changes no verdict."""

    seconds: int = 8
    memory: int = 512 * 2**20
    file: int = 2**20

    def rlimits(self) -> dict[str, int]:
        """The limits by their names in `resource`."""
        return {
            "RLIMIT_CPU": self.seconds,
            "RLIMIT_AS": self.memory,
            "RLIMIT_FSIZE": self.file,
            "RLIMIT_NOFILE": 32,
            "RLIMIT_NPROC": 0,
            "RLIMIT_CORE": 0,
        }


@dataclass(frozen=True)
class Outcome:
    """Whether all tests passed, else why not; `given_up`: which of network, files and processes the
    program had to do without. `ran` is False where it could not be started, which is no verdict."""

    passed: bool
    error: str | None = None
    ran: bool = True
    given_up: frozenset[str] = field(default_factory=frozenset)


def run_tests(program: str, tests: Sequence[str], limits: Limits | None = None) -> Outcome:
    """Run a program, then each test in its namespace (`assert` statements, or code that raises)."""
    limits = limits or Limits()
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as folder:
        job = {
            "token": token,
            "folder": folder,
            "limits": limits.rlimits(),
            "program": program,
            "tests": list(tests),
        }
        news = _run(json.dumps(job).encode(), folder, limits.seconds)
    if news is None:
        return Outcome(False, "the sandbox could not be started", ran=False)
    told = [one for one in news if one.get("token") == token]
    if not told:
        return Outcome(False, "the sandbox could not be closed", ran=False)
    given_up = frozenset(told[0].get("given_up", ()))
    if len(told) < 2:
        why = f"no verdict: left early, was killed, or ran over {limits.seconds} s"
        return Outcome(False, why, given_up=given_up)
    return Outcome(told[1]["error"] is None, told[1]["error"], given_up=given_up)


def _run(job: bytes, folder: str, seconds: int) -> list[dict[str, Any]] | None:
    """What the jail told; None if it could not be started."""
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(_JAIL), str(writing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={},
            pass_fds=(writing,),
            start_new_session=True,
        )
    except OSError:
        os.close(reading)
        os.close(writing)
        return None
    os.close(writing)
    try:
        _hand_over(process, job)
        return _listen(reading, time.monotonic() + 2 * seconds + 2)
    finally:
        os.close(reading)
        _kill(process)


def _hand_over(process: subprocess.Popen[bytes], job: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(job)
        process.stdin.close()
    except BrokenPipeError:
        return


def _listen(reading: int, end: float) -> list[dict[str, Any]]:
    """The JSON lines that come before the pipe closes, the time ends, or too much is said."""
    heard = b""
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0 and heard.count(b"\n") < 2:
            if not selector.select(left):
                break
            some = os.read(reading, _MOST_NEWS)
            heard += some
            if not some or len(heard) > _MOST_NEWS:
                break
    return [line for line in map(_news, heard.split(b"\n")) if line is not None]


def _news(line: bytes) -> dict[str, Any] | None:
    try:
        news = json.loads(line)
    except ValueError:
        return None
    return news if isinstance(news, dict) else None


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
