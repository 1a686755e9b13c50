"""Log-probabilities of answers under a reference model, computed once before training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rlpersona.errors import ModelError
from rlpersona.training.job import TrainingJob
from rlpersona.training.rows import Row
from rlpersona.training.start import load_start

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def with_reference(
    rows: list[Row],
    job: TrainingJob,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    arguments: Any,
) -> list[Row]:
    """The rows with `ref_chosen_logps` and `ref_rejected_logps` (nats, summed over the answer).

    `model` is the untrained start, which is the reference where the job names no other.

    Raises:
        ModelError: the reference has another vocabulary than the model.
    """
    if job.reference in (None, job.start):
        return _scored(rows, model, tokenizer, arguments)
    assert job.reference is not None
    reference, theirs = load_start(job.reference)
    if theirs.get_vocab() != tokenizer.get_vocab():
        raise ModelError(
            f"the reference '{job.reference.model.name}' has another vocabulary than"
            f" '{job.start.model.name}'",
            "Take a reference that was trained from the same base.",
        )
    return _scored(rows, reference, tokenizer, arguments)


def _scored(
    rows: list[Row], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, arguments: Any
) -> list[Row]:
    """Each process scores its share of the rows and gets the scores of all."""
    import torch
    from trl.trainer.dpo_trainer import DataCollatorForPreference
    from trl.trainer.utils import add_fused_lm_head

    collate = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id or 0)
    device = arguments.device
    was_training = model.training
    add_fused_lm_head(model)  # never holds the logits of a whole batch
    model.eval().to(device)
    rank, world = arguments.process_index, arguments.world_size
    size = arguments.per_device_train_batch_size
    mine: dict[int, tuple[list[float], list[float]]] = {}
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=arguments.bf16):
        for at in range(rank * size, len(rows), world * size):
            batch = {key: value.to(device) for key, value in collate(rows[at : at + size]).items()}
            answered = batch.pop("completion_mask")
            labels = batch["input_ids"].masked_fill(answered == 0, -100)
            logps = model(**batch, labels=labels, fused_lm_head=True, use_cache=False).log_probs.sum(1)
            chosen, rejected = logps.float().chunk(2)
            mine[at] = (chosen.tolist(), rejected.tolist())
    del model.forward  # the class's own again
    model.train(was_training)
    scores = dict(sorted(_gathered(mine).items()))
    pairs = [pair for both in scores.values() for pair in zip(*both, strict=True)]
    return [
        {**row, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}
        for row, (chosen, rejected) in zip(rows, pairs, strict=True)
    ]


def _gathered(mine: dict[int, Any]) -> dict[int, Any]:
    import torch.distributed as dist

    if not dist.is_available() or not dist.is_initialized():
        return mine
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, mine)
    return {at: scores for part in parts for at, scores in part.items()}
