"""The package that a job starts from: code and small files in a zip; the same files, the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from rlpersona.errors import ConfigError

LIMIT = 10 * 2**20  # bytes; a head keeps packages in the memory of its control store
LARGEST = 3


def files_below(folder: Path, under: str) -> dict[str, Path]:
    """The files of a package, by their path in the zip, without caches and hidden ones."""
    return {
        f"{under}/{path.relative_to(folder).as_posix()}": path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not is_left_behind(path.relative_to(folder))
    }


def is_left_behind(path: Path) -> bool:
    """Whether a file is of a cache or hidden."""
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)


def pack(target: Path, files: Mapping[str, Path], texts: Mapping[str, str] | None = None) -> int:
    """Write `files` and `texts` (path in the zip -> content) to the zip `target`; its size in bytes.

    Raises:
        ConfigError: more than LIMIT bytes; the zip is gone then.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            _add(archive, name, path.read_bytes())
        for name, text in sorted((texts or {}).items()):
            _add(archive, name, text.encode())
        sizes = {entry.filename: entry.compress_size for entry in archive.infolist()}
    size = target.stat().st_size
    if size > LIMIT:
        target.unlink()
        largest = sorted(sizes, key=lambda name: -sizes[name])[:LARGEST]
        listed = ", ".join(f"{name} ({sizes[name] / 2**20:.1f})" for name in largest)
        raise ConfigError(
            f"The job's package has {size / 2**20:.1f} MiB, and {LIMIT >> 20} are allowed."
            f" Largest: {listed}.",
            "Put large files on storage that the cluster sees, and name them by absolute paths.",
        )
    return size


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """One entry without its time of change, which would make another package of the same files."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(entry, content)
