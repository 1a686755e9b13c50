"""Supervised fine-tuning: the loss is on the answer and on the end of its turn, never on the prompt."""

from __future__ import annotations

from typing import Any

from rlpersona.config.training import SFTRecipe
from rlpersona.training.arguments import lora_config, trainer_arguments
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.fit import fit, save_result, workspace
from rlpersona.training.job import OnStep, TrainingJob
from rlpersona.training.packing import refuse_leaking_packs
from rlpersona.training.rows import Turns, sft_rows
from rlpersona.training.start import load_start


def train_sft(
    job: TrainingJob, checkpoints: FolderCheckpoints, on_step: OnStep | None = None
) -> dict[str, Any]:
    """Train a stage on rows of prompt and completion, with TRL's SFTTrainer.

    The loss of an update is the mean negative log-likelihood (nats) of all its answer tokens. With
    packing, `batch` counts packs of at most `max_length` tokens; without, rows.

    Returns the measures of the last step, `rows`, `rows_too_long` (left out), and those of `fit`.

    Raises:
        DataError: rows that cannot be trained on.
        ModelError: weights, chain or device that do not fit; packing where rows would see each other.
        RunError: the loss is no longer a number.
    """
    recipe = job.recipe
    assert isinstance(recipe, SFTRecipe)
    with workspace() as folder:
        from datasets import Dataset
        from trl import SFTConfig

        from rlpersona.training.trainers import SFT

        lineage = job.start.lineage()
        model, tokenizer = load_start(job.start, quantize=recipe.quantize, full=recipe.full)
        rows = sft_rows(job.rows, Turns(model, tokenizer), recipe.max_length)
        if recipe.packing:
            refuse_leaking_packs(model, job.start.model.name)
        arguments = SFTConfig(
            **trainer_arguments(recipe, job.start, job.seed, folder, model.num_parameters()),
            packing=recipe.packing,
            max_length=rows.max_length if recipe.packing else None,  # longer rows are left out above
        )
        trainer = SFT(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows.rows),
            processing_class=tokenizer,
            peft_config=None if recipe.full else lora_config(recipe.lora, model),
        )
        measures = fit(trainer, checkpoints, on_step)
        save_result(trainer, job.out, lineage)
    return {**measures, "rows": len(rows.rows), "rows_too_long": rows.too_long}
