"""A trained chain in forms that others can load: one adapter on the raw base, or one whole model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.errors import ModelError
from rlpersona.models.adapters import CONFIG, WEIGHTS
from rlpersona.models.lineage import Lineage, base_hash, write_lineage
from rlpersona.training.checkpoints import whole_folder
from rlpersona.training.start import Start, load_start

if TYPE_CHECKING:
    import torch

__all__ = ["flatten", "load_start", "merge"]

DOWN, UP = ".lora_A.weight", ".lora_B.weight"


def flatten(start: Start, out: Path) -> Path:
    """Write the chain to the folder `out` as ONE adapter on the raw base.

    The deltas of a chain add up, s1 B1 A1 + s2 B2 A2 + ... = [s1 B1, s2 B2, ...] [A1; A2; ...] with
    s = alpha / rank: the ranks add up too (what PEFT calls 'cat', here without loading the base).
    Engines serve many such adapters side by side on one base.

    Raises:
        ModelError: no adapter, a chain that does not fit together, an adapter that is no plain LoRA.
    """
    if not start.adapters:
        raise ModelError("there is no adapter to flatten: the chain is the base alone", "Use the base.")
    below = start.lineage()
    parts = [_deltas(folder) for _, folder in start.adapters]
    tensors = _stacked([deltas for deltas, _ in parts])
    total = sum(rank for _, rank in parts)
    config = json.loads((Path(start.adapters[0][1]) / CONFIG).read_text(encoding="utf-8"))
    modules = sorted({name.removesuffix(DOWN).split(".")[-1] for name in tensors if name.endswith(DOWN)})
    config |= {
        "r": total,
        "lora_alpha": total,
        "lora_dropout": 0.0,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": modules,
        "exclude_modules": None,
        "layers_to_transform": None,
        "base_model_name_or_path": below.base,
        "inference_mode": True,
    }
    with whole_folder(out) as made:
        from safetensors.torch import save_file

        save_file(tensors, made / WEIGHTS, metadata={"format": "pt"})
        (made / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        write_lineage(made, Lineage(below.base, below.base_hash))
    return out


def merge(start: Start, out: Path) -> Path:
    """Write the chain to the folder `out` as a whole model: safetensors, tokenizer, chat template.

    Adapters that were trained on this chain may be used with it.

    Raises:
        ModelError: as `load_start`.
    """
    net, tokenizer = load_start(start)
    below = start.lineage()
    with whole_folder(out) as made:
        net.save_pretrained(made)
        tokenizer.save_pretrained(made)
        own = base_hash(str(made))
        write_lineage(made, Lineage(below.base, below.base_hash, below.links, merged=own))
    return out


def _deltas(folder: Path) -> tuple[dict[str, torch.Tensor], int]:
    """The float32 tensors of a LoRA adapter, with its scale inside B, and its rank."""
    from safetensors.torch import load_file

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    tensors = load_file(folder / WEIGHTS)
    odd = [name for name in tensors if not name.endswith((DOWN, UP))]
    if odd or config.get("rank_pattern") or config.get("alpha_pattern"):
        raise ModelError(
            f"adapter '{folder}' is more than plain LoRA matrices of one rank"
            + (f" ({odd[0]})" if odd else ""),
            "Merge the chain instead: rlpersona.training.export.merge.",
        )
    rank = int(config["r"])
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return {
        name: tensor.float() * (scale if name.endswith(UP) else 1.0) for name, tensor in tensors.items()
    }, rank


def _stacked(parts: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """A over A and B beside B; where a part leaves a module alone it has zeros, so all ranks agree."""
    import torch

    shapes: dict[str, Any] = {name: t for part in parts for name, t in part.items()}
    ranks = [next(len(t) for name, t in part.items() if name.endswith(DOWN)) for part in parts]

    def block(part: dict[str, torch.Tensor], rank: int, name: str) -> torch.Tensor:
        if name in part:
            return part[name]
        down, like = name.endswith(DOWN), shapes[name]
        return torch.zeros((rank, like.shape[1]) if down else (like.shape[0], rank))

    return {
        name: torch.cat(
            [block(part, rank, name) for part, rank in zip(parts, ranks, strict=True)],
            dim=0 if name.endswith(DOWN) else 1,
        ).contiguous()
        for name in sorted(shapes)
    }
