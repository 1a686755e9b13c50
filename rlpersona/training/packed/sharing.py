"""Which trainings can be packed, and which of them together."""

from __future__ import annotations

import json

from rlpersona.config import GRPOConfig


def refusal(config: GRPOConfig) -> str | None:
    """Why a training cannot be packed; None where it can."""
    recipe = config.recipe
    reasons = {
        "recipe.full=true trains all weights, which cannot be stacked": recipe.full,
        f"recipe.quantize={recipe.quantize} leaves no plain linear layers": recipe.quantize != "none",
        f"recipe.workers={recipe.workers}: a pack is one process": recipe.workers > 1,
        f"recipe.strategy={recipe.strategy}: a pack is one process": recipe.strategy != "ddp",
        "recipe.vllm_mode=server holds the weights of one training": recipe.vllm_mode == "server",
        "readout.axis is logged by trainings of their own": bool(config.readout.axis),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def shared(config: GRPOConfig) -> str:
    """What the trainings of a pack have in common; equal texts may be packed together."""
    recipe = config.recipe.model_dump(mode="json", exclude={"scale_rewards"})
    return json.dumps(
        [config.model.model_dump(mode="json"), recipe, config.readout.model_dump(mode="json")],
        sort_keys=True,
    )
