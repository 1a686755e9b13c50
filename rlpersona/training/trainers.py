"""TRL's trainers, fed with rows that are already encoded. Imports TRL: import it inside functions."""

from __future__ import annotations

from typing import Any

from trl import DPOTrainer, SFTTrainer


class Quiet:
    """No message to a hub, no model card in every checkpoint."""

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Write none: `lineage.json` and the run's provenance say what TRL's card would."""


class SFT(Quiet, SFTTrainer):  # type: ignore[misc]
    """Rows have `input_ids` and `labels`."""


class DPO(Quiet, DPOTrainer):  # type: ignore[misc]
    """Rows have `prompt_ids`, `chosen_ids`, `rejected_ids`, and perhaps the reference's logps."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset

    def _precompute_ref_logps(self, dataset: Any, *_: Any) -> Any:
        return dataset
