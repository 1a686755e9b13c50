"""What this machine has and lacks, each lack with its fix."""

from __future__ import annotations

from pathlib import Path

from rlpersona.doctor.cluster import clusters, ports, token
from rlpersona.doctor.finding import Finding
from rlpersona.doctor.keys import keys
from rlpersona.doctor.machine import cores, disk, memory, open_files, shared_memory
from rlpersona.doctor.software import gpus, packages, python, vllm, weights

__all__ = ["Finding", "examine"]


def examine(runs: Path) -> list[Finding]:
    """Look at software, machine, engines, keys, and what Ray needs; nothing is left behind."""
    return [
        python(),
        *packages(),
        cores(),
        memory(),
        *shared_memory(),
        disk(runs),
        open_files(),
        *gpus(),
        vllm(),
        weights(),
        *keys(),
        token(),
        *ports(),
        *clusters(),
    ]
