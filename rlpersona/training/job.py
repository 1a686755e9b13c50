"""One training, said completely: what it starts from, on which rows, by which recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlpersona.config.training import DPORecipe, SFTRecipe
from rlpersona.training.start import Start

# Every update: {"step": ..., "epoch": ..., "loss": ..., "grad_norm": ..., and the trainer's own}.
OnStep = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrainingJob:
    """A stage to be trained.

    `rows` is a JSONL file: prompt and completion for SFT; prompt, chosen and rejected for DPO, each a
    list of messages. `out` gets `adapter/` (PEFT, with `lineage.json`) or, where the recipe is full,
    `model/`; whole or not at all. `reference` is the model that DPO stays near, by default `start`.
    """

    stage: str
    start: Start
    recipe: SFTRecipe | DPORecipe
    rows: Path
    out: Path
    seed: int
    reference: Start | None = None
