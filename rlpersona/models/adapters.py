"""PEFT adapter folders: is it one, which version of it, how large."""

from __future__ import annotations

import json
from pathlib import Path

from rlpersona.errors import ModelError

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def adapter_version(folder: str) -> str:
    """A name for what `folder` holds at this moment; it changes whenever its files are written.

    Engines keep adapters by this name, so that a training loop may write into the same folder.

    Raises:
        ModelError: the folder is no PEFT adapter with safetensors weights.
    """
    marks = []
    for file in (CONFIG, WEIGHTS):
        try:
            stat = (Path(folder) / file).stat()
        except OSError:
            raise ModelError(
                f"'{folder}' is no adapter: it has no {file}",
                "Give the folder that PEFT's save_pretrained wrote (safe_serialization on).",
            ) from None
        marks.append(f"{stat.st_ino:x}.{stat.st_mtime_ns:x}.{stat.st_size:x}")
    return "|".join([str(Path(folder).resolve()), *marks])


def adapter_rank(folder: str) -> int:
    """The largest LoRA rank in the adapter (ModelError if its config cannot be read)."""
    try:
        config = json.loads((Path(folder) / CONFIG).read_text())
        return max(int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values()), 1)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"'{folder}' is no LoRA adapter: its {CONFIG} gives no rank",
            "Train it with peft.LoraConfig.",
        ) from error
