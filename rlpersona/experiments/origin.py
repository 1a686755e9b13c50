"""Where a run comes from, and that a resumed one still works on the same data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rlpersona.errors import RunChangedError
from rlpersona.provenance import provenance
from rlpersona.store import PROVENANCE, Run
from rlpersona.tasks import fingerprint
from rlpersona.types import Question


class Fingerprinted(Protocol):
    """Inputs of an experiment."""

    def fingerprints(self) -> dict[str, str]:
        """A hash for each part of the data, by name."""
        ...


def record_origin(run: Run, inputs: Fingerprinted) -> None:
    """Write the provenance of a new run; RunChangedError if a resumed one has other data than it had."""
    data = inputs.fingerprints()
    if not (run.folder / PROVENANCE).exists():
        run.write_json(PROVENANCE, provenance(data))
        return
    began = run.read_json(PROVENANCE)["data"]
    changed = [name for name in data if began.get(name) != data[name]]
    if changed:
        raise RunChangedError(
            f"Run '{run.name}' began on other data: its {' and '.join(changed)} changed.",
            "Put the files back as they were, or start a run under a new name: name=...",
        )


def of_texts(texts: Iterable[str]) -> str:
    """One hash for a set of texts, whatever their order."""
    return fingerprint(Question(text, "", "") for text in texts)
