"""What a TRL trainer tells us while it works. Imports transformers: import it inside functions."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rlpersona.errors import RunError
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.job import OnStep


class StepReport(TrainerCallback):  # type: ignore[misc]
    """Hands every logged step to `on_step`, and ends a training whose loss is no number."""

    def __init__(self, on_step: OnStep | None) -> None:
        self._on_step = on_step
        self.last: dict[str, float] = {}

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Called by every process; the first one reports."""
        if "loss" not in logs:  # the summary at the end
            return
        step: dict[str, float] = {"step": state.global_step} | {k: float(v) for k, v in logs.items()}
        broken = [name for name in ("loss", "grad_norm") if not math.isfinite(step.get(name, 0))]
        if broken:
            raise RunError(
                f"{broken[0]} is {step[broken[0]]} at step {state.global_step}",
                "Lower learning_rate, or raise warmup; the last checkpoint is from before.",
            )
        self.last = step
        if self._on_step is not None and state.is_world_process_zero:
            self._on_step(step)


class HandOver(TrainerCallback):  # type: ignore[misc]
    """Hands `checkpoint-N` of the trainer's folder to `checkpoints`, and deletes it there."""

    def __init__(self, checkpoints: FolderCheckpoints, report: StepReport) -> None:
        self._checkpoints = checkpoints
        self._report = report

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Skip the checkpoint of the last step: transformers would train one step more from it."""
        if state.global_step >= state.max_steps:
            control.should_save = False

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called by every process once its part of the checkpoint is written."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        folder.mkdir(exist_ok=True)  # one process of many may have nothing to add
        self._checkpoints.save(folder, self._report.last)
        shutil.rmtree(folder)
