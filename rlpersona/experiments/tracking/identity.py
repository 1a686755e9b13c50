"""How a tracking service knows a run again: a name for people and an id for itself."""

from __future__ import annotations

import uuid

from rlpersona.store import Run

FILE = "tracking.json"


def identity(run: Run) -> str:
    """A random id of this run folder, the same when the run is resumed."""
    if not (run.folder / FILE).exists():
        run.write_json(FILE, {"id": uuid.uuid4().hex[:12]})
    found: str = run.read_json(FILE)["id"]
    return found


def title(run: Run, series: str) -> str:
    """The run's name, and the part of it."""
    return f"{run.name}/{series}" if series else run.name
