"""Processes that tests start, watch and kill: a command of rlpersona, and what runs below it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from tests.support import wait_until


def tree(process: psutil.Process) -> list[psutil.Process]:
    """A process and all below it; empty where it is gone."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def send(parts: Iterable[psutil.Process], number: int) -> None:
    """A signal to those that are still there: of a tree, some end with what they belong to."""
    for part in parts:
        with suppress(psutil.NoSuchProcess):
            part.send_signal(number)


def title_of(process: psutil.Process) -> str:
    """Its command line, which Ray's processes write over with what they are; empty where it is gone."""
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def titled(process: psutil.Process, title: str) -> list[psutil.Process]:
    """Of a process and all below it, those whose title contains `title`."""
    return [one for one in tree(process) if title in title_of(one)]


class Driver:
    """`rlpersona WORDS name=NAME` in a process of its own; its run is `root/NAME`, its log beside it."""

    def __init__(
        self,
        root: Path,
        name: str,
        *words: str,
        runs: str = "",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder, self.log = root / name, root / f"{name}.log"
        command = [sys.executable, "-m", "rlpersona.cli", *words, f"name={name}"]
        with self.log.open("a") as out:
            self.process = psutil.Popen(
                [*command, "--runs", runs or str(root)],
                cwd=cwd,
                env=env,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def wait(self, condition: Callable[[], bool]) -> None:
        """Until the condition holds; the driver must live, and is ended where the wait is in vain."""
        try:
            wait_until(lambda: condition() or self.process.poll() is not None, 600)
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.close()
            raise

    def wait_for_lines(self, lines: int) -> None:
        """Until the run has logged so many rounds or steps; the driver must live."""
        self.wait(lambda: self.lines() >= lines)

    def lines(self) -> int:
        """Rounds or steps that the run has logged."""
        metrics = self.folder / "metrics.jsonl"
        return metrics.read_text().count("\n") if metrics.exists() else 0

    def below(self, title: str) -> list[psutil.Process]:
        """Live processes that the driver started whose title contains `title`."""
        return titled(self.process, title)

    def kill(self) -> None:
        """SIGKILL for the driver alone."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> Path:
        """The run's folder, once it has ended well."""
        try:
            assert self.process.wait(600) == 0, self.log.read_text()
        finally:
            self.close()
        return self.folder

    def close(self) -> None:
        """End the driver: one that is left takes its part of the machine from the tests that follow."""
        if self.process.is_running():
            self.kill()
