"""The run folder: the only module that knows its layout.

    runs/NAME/
      config.yaml         the resolved config; loads again to the same run
      provenance.json     versions, git commit, data fingerprints, machine
      events/             one parquet part per checkpoint while the run works
      events.parquet      every evaluation, once the run is finished
      metrics.jsonl       one line a round
      tensorboard/        the same as TensorBoard's event files (also in conditions/ID, stages/NAME)
      tracking.json       the run's id at W&B or MLflow, where they are used
      serving/            draws and feedback of a live policy
      checkpoints/        Ray Train's storage
      personas.parquet    what the search learned of each persona
      validation.parquet  the fresh measurement, one row per persona and question
      summary.json        the result; its presence means that the run is finished
      report.html

Every file is written whole beside its place and renamed, so a crash leaves the old one or the new
one. A run has one owner at a time: an OS lock that a dead process cannot hold. A folder of runs that
stands for a URI (`storage.local_root`) is brought up to date before a run is opened or read, and copied
there while one works.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from rlpersona.errors import (
    PersonaError,
    RunChangedError,
    RunError,
    RunExistsError,
    RunLockedError,
    StorageError,
    did_you_mean,
)
from rlpersona.storage import RECORD, Mirror, names_at, open_place, uri_of

if TYPE_CHECKING:
    import pandas as pd

    from rlpersona.config import Config


CONFIG, PROVENANCE, METRICS, EVENTS = "config.yaml", "provenance.json", "metrics.jsonl", "events.parquet"
PERSONAS, VALIDATION, SUMMARY = "personas.parquet", "validation.parquet", "summary.json"
REPORT, KEPT = "report.html", ".kept"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run folder and the paths in it. Making one touches nothing on disk."""

    folder: Path

    @property
    def name(self) -> str:  # noqa: D102
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """Where Ray Train keeps the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return (self.folder / SUMMARY).exists()

    def keep(self) -> None:
        """Say that the folder holds work: from then on an error leaves it where it is."""
        with storage_errors(self.folder):
            (self.folder / KEPT).touch()

    @property
    def kept(self) -> bool:
        """Whether the folder holds work: a checkpoint, or what `keep` was called for."""
        return (self.folder / KEPT).exists() or any(self.checkpoints.glob("*/"))

    def write_text(self, name: str, text: str) -> Path:
        """Write one file of the run, whole or not at all."""
        with atomic(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return self.folder / name

    def write_json(self, name: str, value: Any) -> Path:
        """Write strict JSON: a NaN is a mistake of ours and raises ValueError."""
        return self.write_text(
            name, json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        )

    def write_table(self, name: str, table: pd.DataFrame) -> Path:
        """Write a parquet file."""
        with atomic(self.folder / name) as temporary:
            table.to_parquet(temporary, index=False)
        return self.folder / name

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run; RunError where it is missing or torn."""
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RunError(
                f"Run '{self.name}' has no {name}.",
                "Finish it: run its command again with --resume.",
            ) from None
        except ValueError as error:
            raise RunError(
                f"{self.folder / name} is torn: {error}", "Run again with --resume."
            ) from None

    def save_events(self, first: int, last: int, events: pd.DataFrame) -> None:
        """The evaluations of rounds `first..last`; writing the same rounds again replaces them."""
        self.write_table(f"events/{first:06d}-{last:06d}.parquet", events)

    def events(self) -> pd.DataFrame:
        """Every evaluation so far, in the order of the rounds."""
        import pandas as pd

        if (self.folder / EVENTS).exists():
            return pd.read_parquet(self.folder / EVENTS)
        parts = sorted((self.folder / "events").glob("[0-9]*.parquet"))
        return (
            pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True)
            if parts
            else pd.DataFrame()
        )

    def compact_events(self) -> pd.DataFrame:
        """Join the parts into `events.parquet` and drop them."""
        events = self.events()
        self.write_table(EVENTS, events)
        shutil.rmtree(self.folder / "events", ignore_errors=True)
        return events

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Add one line to `metrics.jsonl`."""
        with (
            storage_errors(self.folder),
            (self.folder / METRICS).open("a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(row, allow_nan=False) + "\n")

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`; a torn last line (a killed writer) is left out."""
        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def rewind(self, rounds: int) -> None:
        """Forget what was written after the checkpoint of round `rounds`: it will be done again."""
        kept = [row for row in self.metrics() if row["round"] <= rounds]
        self.write_text(METRICS, "".join(json.dumps(row) + "\n" for row in kept))
        if (self.folder / EVENTS).exists():
            events = self.events()
            self.save_events(0, rounds, events[events["round"] <= rounds])
            (self.folder / EVENTS).unlink()
        for part in (self.folder / "events").glob("[0-9]*.parquet"):
            if int(part.stem.split("-")[1]) > rounds:
                part.unlink()


@contextmanager
def opened(root: Path, config: Config, *, resume: bool = False) -> Iterator[Run]:
    """Own the folder of a config while the block works: a fresh one, or with `resume` the one begun.

    A mistake that shows before the first checkpoint leaves no folder behind. Raises RunLockedError,
    RunExistsError, RunError (nothing to resume), RunChangedError or StorageError.
    """
    values = config.model_dump(mode="json")
    run = up_to_date(Run(root / values["name"]))
    if resume and not (run.folder / CONFIG).exists():
        raise RunError(
            f"There is no run '{run.name}' to resume in {root}.", did_you_mean(run.name, names(root))
        )
    if not (run.folder / CONFIG).exists() and is_foreign(run.folder):
        raise RunExistsError(
            f"{run.folder} holds something other than a run.",
            "Take another name or folder: --runs FOLDER",
        )
    with locked(run):
        began = (run.folder / CONFIG).exists()
        if began and not resume:
            raise RunExistsError(
                f"There is a run '{run.name}' in {root}.",
                "Continue it with --resume, or take another name: name=...",
            )
        try:
            if began:
                refuse_changes(run, values)
            else:
                run.write_text(CONFIG, yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
            yield run
        except PersonaError:
            # Only a folder that was empty before comes here: nothing of anybody else's is in it.
            if not began and not run.kept:
                shutil.rmtree(run.folder, ignore_errors=True)
            raise


def is_foreign(folder: Path) -> bool:
    """Whether a folder holds anything but a lock and what a mirror notes."""
    return folder.is_dir() and any(path.name not in (".lock", RECORD) for path in folder.iterdir())


def refuse_changes(run: Run, values: Mapping[str, Any]) -> None:
    """A run is continued with the config that it was started with, or not at all."""
    saved = flatten(yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8")))
    wanted = flatten(values)
    changed = sorted(key for key in saved.keys() | wanted.keys() if saved.get(key) != wanted.get(key))
    if changed:
        differences = ", ".join(f"{key}: {saved.get(key)!r} -> {wanted.get(key)!r}" for key in changed)
        raise RunChangedError(
            f"Run '{run.name}' was started with another config ({differences}).",
            "Resume with the saved config, or start a run under a new name: name=...",
        )


def flatten(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """`{"model": {"name": "nano"}}` -> `{"model.name": "nano"}`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{path}{key}.") if isinstance(value, Mapping) else {path + key: value}
    return flat


def names(root: Path) -> list[str]:
    """The names of the runs in a folder, and of those at the URI that it stands for."""
    found = {path.parent.name for path in root.glob(f"*/{CONFIG}")}
    uri = uri_of(root)
    return sorted(found.union(names_at(uri, CONFIG) if uri else ()))


def find(root: Path, name: str) -> Run:
    """An existing run, by name; RunError with the nearest name otherwise."""
    run = up_to_date(Run(root / name))
    if not (run.folder / CONFIG).exists():
        raise RunError(f"There is no run '{name}' in {root}.", did_you_mean(name, names(root)))
    return run


def mirror_of(run: Run) -> Mirror | None:
    """The copy of a run at a URI, where its folder of runs stands for one."""
    uri = uri_of(run.folder.parent)
    return Mirror(run.folder, open_place(uri).inside(run.name).uri) if uri else None


def up_to_date(run: Run) -> Run:
    """The run as it stands at its URI, unless this machine was the last to work on it."""
    mirror = mirror_of(run)
    if mirror is not None:
        mirror.pull()
    return run


def glance(root: Path, name: str) -> Run:
    """A run as far as its config and its result: from a URI no more is fetched."""
    run = Run(root / name)
    mirror = mirror_of(run)
    if mirror is not None:
        mirror.glance((CONFIG, SUMMARY))
    return run


def publish(root: Path) -> None:
    """Copy what was written into runs after their work was over (a report), where `root` is a URI's."""
    for folder in root.iterdir() if uri_of(root) else ():
        mirror = mirror_of(Run(folder)) if folder.is_dir() else None
        if mirror is not None and mirror.stale():
            try:
                with locked(Run(folder)):
                    pass
            except RunLockedError as error:  # whoever works on it copies it
                log.warning("%s", error)


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """Hold the run against every other process; RunLockedError if one has it."""
    with storage_errors(run.folder):
        run.folder.mkdir(parents=True, exist_ok=True)
        file = (run.folder / ".lock").open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunLockedError(
                f"Another process ({file.read().strip() or 'unknown'}) works on run '{run.name}'.",
                "Wait for it or end it; then use --resume.",
            ) from None
        file.truncate(0)
        file.write(f"pid {os.getpid()}")
        file.flush()
        mirror = mirror_of(run)
        with mirror.working() if mirror is not None else nullcontext():
            yield


def copying(run: Run) -> AbstractContextManager[None]:
    """For work that several processes may do in one folder: a run at a URI is held and copied meanwhile.

    RunLockedError if another process has it, which only a URI can raise.
    """
    return nullcontext() if mirror_of(run) is None else locked(run)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into one clear StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"No space left on the disk of {path}.", "Free some, then use --resume."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            raise StorageError(
                f"Cannot write {path}: {error.strerror}.", "Choose another folder: --runs FOLDER"
            ) from error
        raise
