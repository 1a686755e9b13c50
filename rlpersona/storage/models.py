"""A model at a URI, fetched once into a folder of this machine."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

from rlpersona.errors import ModelError
from rlpersona.storage.places import open_place, scratch


@lru_cache(maxsize=64)
def fetch_model(uri: str) -> Path:
    """The folder of the model at `uri`, fetched whole or not at all.

    Names, sizes and times of its files at the URI name the folder, so a model that was written again is
    fetched again. Each node fetches for itself, once.

    Raises:
        ModelError: nothing is there.
        ConfigError, StorageError: see `open_place`.
    """
    place = open_place(uri.rstrip("/"))
    files = place.files()
    if not files:
        raise ModelError(f"no model at '{uri}': nothing is there", "Check the bucket and the prefix.")
    listed = "\n".join(f"{name} {one.size} {one.mtime_ns}" for name, one in sorted(files.items()))
    digest = hashlib.sha256(f"{uri}\n{listed}".encode()).hexdigest()[:16]
    folder = scratch() / "models" / digest / Path(place.path).name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    try:
        for name in files:
            place.fetch(name, made / name)
        try:
            made.rename(folder)
        except OSError:  # another process was first
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return folder
