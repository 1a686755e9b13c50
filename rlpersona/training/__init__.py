"""Trainings: SFT, DPO and GRPO on TRL. A training is handed everything and runs in any process."""

from __future__ import annotations

from rlpersona.training.checkpoints import FolderCheckpoints, LocalCheckpoints
from rlpersona.training.job import OnStep, TrainingJob
from rlpersona.training.start import Start

__all__ = ["FolderCheckpoints", "LocalCheckpoints", "OnStep", "Start", "TrainingJob"]
