"""Several rows in one sequence: only where attention keeps them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlpersona.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLERANCE = 1e-3  # logits, against changes of order 1 where rows see each other; bfloat16: relative


def refuse_leaking_packs(model: PreTrainedModel, name: str) -> None:
    """Nothing, if a row's logits in a pack do not depend on the row before it.

    The pack is given to the model as TRL's collator gives it: position ids that begin again at each
    row, no attention mask. Which models turn that into separate attention depends on architecture
    and attention kernel, so it is tried, not looked up.

    Raises:
        ModelError: rows see each other.
    """
    import torch

    size = min(model.config.get_text_config().vocab_size, 1000)
    generator = torch.Generator().manual_seed(0)
    first, other, last = torch.randint(0, size, (3, 8), generator=generator)
    positions = torch.arange(8).repeat(2)[None].to(model.device)
    was_training = model.training
    model.eval()
    with torch.no_grad():
        behind = [
            model(
                input_ids=torch.cat([head, last])[None].to(model.device),
                position_ids=positions,
                use_cache=False,
            ).logits[0, 8:]
            for head in (first, other)
        ]
    model.train(was_training)
    spread = float(behind[0].float().std())
    if float((behind[0] - behind[1]).abs().max()) > TOLERANCE * max(spread, 1e-6):
        raise ModelError(
            f"packing is not possible with model '{name}': rows of one pack would see each other",
            "Set packing=false, or install an attention kernel that keeps them apart (flash-attn).",
        )
