"""Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290) and three of its kin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rlpersona.config.training import DPORecipe
from rlpersona.training.arguments import lora_config, trainer_arguments
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.fit import fit, save_result, workspace
from rlpersona.training.job import OnStep, TrainingJob
from rlpersona.training.reference import with_reference
from rlpersona.training.rows import Turns, dpo_rows
from rlpersona.training.start import load_start


def train_dpo(
    job: TrainingJob,
    checkpoints: FolderCheckpoints,
    on_step: OnStep | None = None,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Train a stage on rows of prompt, chosen and rejected, with TRL's DPOTrainer.

    With y+ chosen, y- rejected, r(y) = log p(y|x) - log p_ref(y|x) in nats summed over the tokens of
    the answer and its end, and d = r(y+) - r(y-), the loss of a pair is

        sigmoid  -log s(beta d)                                       DPO, equation 7
        hinge    max(0, 1 - beta d)                                   RSO's hinge-norm, arXiv:2309.06657
        ipo      (r(y+)/|y+| - r(y-)/|y-| - 1/(2 beta))^2             IPO, arXiv:2310.12036, equation 17
        robust   (-(1-e) log s(beta d) + e log s(-beta d)) / (1-2e)   rDPO, arXiv:2403.00409

    where s is the logistic function and e is `label_smoothing`. IPO is taken per token (as its authors
    computed it; TRL does), so that long answers do not weigh more.

    The reference p_ref is `job.reference`, by default the model that the stage starts from. Below an
    adapter that is the same model with the adapter switched off; in the other cases the reference's
    log-probabilities are computed once before training and its weights are let go. `callbacks` are
    transformers' own, such as `axis.callback.AxisWatch`.

    Returns the measures of the last step (TRL's names: rewards/accuracies, rewards/margins, ...),
    `rows`, `rows_too_long` (left out), and those of `fit`.

    Raises:
        DataError, ModelError, RunError: as `train_sft`; ModelError also for a reference with another
            vocabulary.
    """
    recipe = job.recipe
    assert isinstance(recipe, DPORecipe)
    with workspace() as folder:
        from datasets import Dataset
        from trl import DPOConfig

        from rlpersona.training.trainers import DPO

        lineage = job.start.lineage()
        model, tokenizer = load_start(job.start, quantize=recipe.quantize, full=recipe.full)
        rows = dpo_rows(job.rows, Turns(model, tokenizer), recipe.max_length)
        arguments = DPOConfig(
            **trainer_arguments(recipe, job.start, job.seed, folder, model.num_parameters()),
            loss_type=[recipe.loss],
            beta=recipe.beta,
            label_smoothing=recipe.label_smoothing,
            max_length=None,  # longer rows are left out above
            disable_dropout=recipe.lora.dropout == 0,  # the adapter's own is wanted
        )
        computed = recipe.full or job.reference not in (None, job.start)
        arguments.precompute_ref_log_probs = computed
        trainer = DPO(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(
                with_reference(rows.rows, job, model, tokenizer, arguments) if computed else rows.rows
            ),
            processing_class=tokenizer,
            peft_config=None if recipe.full else lora_config(recipe.lora, model),
            callbacks=list(callbacks),
        )
        measures = fit(trainer, checkpoints, on_step)
        save_result(trainer, job.out, lineage)
    return {**measures, "rows": len(rows.rows), "rows_too_long": rows.too_long}
