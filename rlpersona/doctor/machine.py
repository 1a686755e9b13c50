"""Cores, memory, disk, limits: of the container where there is one."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from rlpersona.doctor.finding import Finding, noted

MEMORY_GB, DISK_GB, SHARED_GB, OPEN_FILES = 4, 1, 0.5, 8192
# Of cgroups version 2 and 1; a huge number or `max` where nothing is set.
LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
SHARED = Path("/dev/shm")


def cores() -> Finding:
    """Cores that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding("cores", str(usable))


def memory() -> Finding:
    """Memory of the machine or, where that is less, what its container may use, in gigabytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    limit = container_limit()
    usable = min(total, limit or total)
    found = f"{usable:.0f} GB" + (" (the container's limit)" if limit and limit < total else "")
    return Finding("memory", found, usable >= MEMORY_GB, f"Ray and a model want {MEMORY_GB} GB.")


def container_limit() -> float | None:
    """The container's limit in gigabytes, None where there is none to be seen."""
    for file in LIMITS:
        try:
            return int(file.read_text()) / 1e9
        except (OSError, ValueError):
            continue
    return None


def shared_memory() -> Iterator[Finding]:
    """Ray keeps its objects in /dev/shm, where there is one; containers often make it too small."""
    if SHARED.is_dir():
        free = shutil.disk_usage(SHARED).free / 1e9
        fix = "Start the container with --shm-size=4g: Ray uses the disk instead, which is slow."
        yield noted(str(SHARED), f"{free:.1f} GB free", free >= SHARED_GB, fix)


def disk(runs: Path) -> Finding:
    """Room where the runs are kept."""
    folder = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    good = free >= DISK_GB and os.access(folder, os.W_OK)
    return Finding(
        "runs", f"{runs} ({free:.0f} GB free)", good, "Free some space, or use --runs FOLDER."
    )


def open_files() -> Finding:
    """How many files and connections a process may have open; Ray's want thousands."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = allowed == resource.RLIM_INFINITY
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(8 * OPEN_FILES, most)
    return noted(
        "open files",
        "no limit" if unlimited else str(allowed),
        unlimited or allowed >= OPEN_FILES,
        f"ulimit -n {wanted}",
    )
