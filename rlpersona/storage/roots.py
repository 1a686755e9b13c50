"""A folder of runs that stands for a URI: `--runs s3://bucket/runs` works in one of this machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rlpersona.storage.places import is_uri, open_place, scratch

REMOTE = ".remote"  # in a folder of runs: the URI that it stands for


def local_root(where: str | Path) -> Path:
    """A folder of runs for a path or a URI; for a URI the mirror, which is made if it is not there.

    Raises:
        ConfigError: the URI cannot be used (see `open_place`).
        StorageError: storage does not answer.
    """
    if not is_uri(str(where)):
        return Path(where)
    uri = str(where).rstrip("/")
    open_place(uri)
    root = scratch() / "runs" / hashlib.sha256(uri.encode()).hexdigest()[:16]
    root.mkdir(parents=True, exist_ok=True)
    if not (root / REMOTE).exists():
        (root / REMOTE).write_text(uri, encoding="utf-8")
    return root


def uri_of(root: Path) -> str | None:
    """The URI that a folder of runs stands for; None where it is a folder like any other."""
    file = root / REMOTE
    return file.read_text(encoding="utf-8").strip() if file.is_file() else None


def names_at(uri: str, holds: str) -> list[str]:
    """Names of the folders at `uri` that hold a file called `holds`."""
    place = open_place(uri)
    return [name for name in place.folders() if holds in place.inside(name).files(deep=False)]
