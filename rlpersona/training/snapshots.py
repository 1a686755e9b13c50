"""Callbacks of a GRPO training. Imports transformers: import it inside functions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from rlpersona.models.lineage import Lineage
from rlpersona.training.fit import save_weights
from rlpersona.training.job import OnStep

if TYPE_CHECKING:
    from rlpersona.training.grpo_trainer import GRPO


class Snapshots(TrainerCallback):  # type: ignore[misc]
    """Writes the weights to `folder`/step-NNNNNN after every `every` steps but the last."""

    def __init__(self, trainer: GRPO, folder: Path, every: int, lineage: Lineage) -> None:
        self._trainer = trainer
        self._folder = folder
        self._every = every
        self._lineage = lineage

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by every process."""
        step = state.global_step
        if step % self._every == 0 and step < state.max_steps:
            save_weights(self._trainer, self._folder / f"step-{step:06d}", self._lineage)


class FirstLook(TrainerCallback):  # type: ignore[misc]
    """Looks at the held-out prompts before the first update, and reports it as step 0."""

    def __init__(self, trainer: GRPO, on_step: OnStep | None) -> None:
        self._trainer = trainer
        self._on_step = on_step

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by every process; the first one reports."""
        watch = self._trainer.watch
        if state.global_step or not watch.due(0, state.max_steps):
            return
        measures = watch.look(self._trainer)
        if self._on_step is not None and state.is_world_process_zero:
            self._on_step({"step": 0, **measures})
