"""What this machine has and lacks, each lack with its fix."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rlpersona.provenance import versions

MEMORY_GB, DISK_GB, SHARED_GB = 4, 1, 0.5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `fix` says what to do if it is not ok."""

    what: str
    found: str
    ok: bool = True
    fix: str = ""


def examine(runs: Path) -> list[Finding]:
    """Look at Python, packages, cores, memory, disk, GPUs, engines and the nano weights."""
    return [
        python(),
        *packages(),
        Finding("cores", str(os.cpu_count())),
        memory(),
        *shared_memory(),
        disk(runs),
        gpus(),
        vllm(),
        weights(),
    ]


def python() -> Finding:  # noqa: D103
    version = sys.version_info
    supported = (3, 11) <= version < (3, 13)
    return Finding("python", f"{version.major}.{version.minor}", supported, "Use Python 3.11 or 3.12.")


def packages() -> Iterator[Finding]:
    """The packages that decide a number."""
    for name, version in versions().items():
        yield Finding(name, version)


def memory() -> Finding:
    """Memory of the machine, in gigabytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return Finding(
        "memory", f"{total:.0f} GB", total >= MEMORY_GB, f"Ray and a model want {MEMORY_GB} GB."
    )


def shared_memory() -> Iterator[Finding]:
    """Ray keeps its objects in /dev/shm, where there is one; containers often make it too small."""
    if Path("/dev/shm").is_dir():
        free = shutil.disk_usage("/dev/shm").free / 1e9
        yield Finding(
            "/dev/shm",
            f"{free:.1f} GB free",
            free >= SHARED_GB,
            "Start the container with --shm-size=4g.",
        )


def disk(runs: Path) -> Finding:
    """Room where the runs are kept."""
    folder = next(path for path in (runs.absolute(), *runs.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free / 1e9
    good = free >= DISK_GB and os.access(folder, os.W_OK)
    return Finding(
        "runs", f"{runs} ({free:.0f} GB free)", good, "Free some space, or use --runs FOLDER."
    )


def gpus() -> Finding:
    """CUDA devices; none is fine."""
    import torch

    count = torch.cuda.device_count()
    return Finding(
        "gpus", ", ".join(torch.cuda.get_device_name(i) for i in range(count)) or "none (CPU only)"
    )


def vllm() -> Finding:
    """Whether the vLLM engine can be used; the HF engine needs nothing more."""
    present = importlib.util.find_spec("vllm") is not None
    return Finding("vllm engine", "installed" if present else "not installed (model.engine=hf works)")


def weights() -> Finding:
    """The embedded model."""
    from rlpersona.models import nano

    present = (nano.path() / "model.safetensors").exists()
    return Finding(
        "nano", "weights found" if present else "weights missing", present, "rlpersona nano build"
    )
