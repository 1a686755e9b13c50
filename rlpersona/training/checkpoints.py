"""Where a trainer keeps its checkpoints, and folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class FolderCheckpoints(Protocol):
    """The storage of a trainer's checkpoints; where several processes train, each calls it."""

    def load(self, into: Path) -> bool:
        """Copy the last checkpoint into an empty or new folder; False at the very start."""
        ...

    def save(self, folder: Path, metrics: dict[str, float]) -> None:
        """Keep a copy of `folder`; returns once it is safe, after which `folder` may go."""
        ...


class LocalCheckpoints:
    """The last checkpoint in a folder of this machine, for trainings without Ray."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, into: Path) -> bool:  # noqa: D102
        if not (kept := self._kept()):
            return False
        shutil.copytree(kept[-1], into, dirs_exist_ok=True)
        return True

    def save(self, folder: Path, metrics: dict[str, float]) -> None:  # noqa: D102
        before = self._kept()
        number = int(before[-1].name) + 1 if before else 0
        with whole_folder(self._folder / f"{number:06d}") as target:
            shutil.copytree(folder, target, dirs_exist_ok=True)
        for old in before:
            shutil.rmtree(old)

    def _kept(self) -> list[Path]:
        return sorted(self._folder.glob("[0-9]*"))


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder`, and of what was there, when the block ends.

    A block that fails, or a process that is killed in it, leaves `folder` as it was. What a killed
    process left beside it is cleared away, so only one process at a time may write `folder`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for stale in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        made = Path(scratch) / "new"
        made.mkdir()
        yield made
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)
