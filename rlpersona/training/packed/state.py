"""The checkpoint of a pack: weights and Adam's state of all conditions, and what each has seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rlpersona.training.packed.member import Member
from rlpersona.training.packed.stack import Stack
from rlpersona.training.packed.updates import Optimizer

TENSORS, REST = "pack.safetensors", "pack.json"
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save(folder: Path, step: int, stack: Stack, optimizer: Optimizer, members: Sequence[Member]) -> None:
    """Write it after `step` updates."""
    from safetensors.torch import save_file

    tensors = {"weights": stack.weights}
    for index, moments in optimizer.adam.state_dict()["state"].items():
        tensors |= {f"{index}.{name}": moments[name] for name in MOMENTS}
    save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, folder / TENSORS)
    rest = {
        "step": step,
        "schedule": optimizer.schedule.state_dict(),
        "members": [member.state() for member in members],
    }
    (folder / REST).write_text(json.dumps(rest), encoding="utf-8")


def load(folder: Path, stack: Stack, optimizer: Optimizer, members: Sequence[Member]) -> int:
    """Take it up; the updates that are done."""
    from safetensors.torch import load_file

    tensors = load_file(folder / TENSORS)
    rest = json.loads((folder / REST).read_text(encoding="utf-8"))
    stack.weights.copy_(tensors["weights"])
    adam = optimizer.adam.state_dict()
    adam["state"] = {
        index: {name: tensors[f"{index}.{name}"] for name in MOMENTS}
        for index in range(len(members))
        if f"{index}.step" in tensors
    }
    for group in adam["param_groups"]:
        group["lr"] = rest["schedule"]["_last_lr"][0]
    optimizer.adam.load_state_dict(adam)
    optimizer.schedule.load_state_dict(rest["schedule"])
    for member, kept in zip(members, rest["members"], strict=True):
        member.load_state(kept)
    return int(rest["step"])
