"""Recipes as the arguments of TRL's trainers and of PEFT."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlpersona.config.training import LoraConfig, Recipe
from rlpersona.errors import ConfigError, ModelError, did_you_mean
from rlpersona.training.start import Start

if TYPE_CHECKING:
    import peft
    from transformers import PreTrainedModel

LARGE = 1_000_000_000  # parameters from which activations are computed twice instead of kept


def world_size() -> int:
    """How many processes train together (torch's convention)."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def trainer_arguments(
    recipe: Recipe, start: Start, seed: int, folder: Path, parameters: int
) -> dict[str, Any]:
    """What every TRL config is given; `folder` is a fresh one, as TRL reads what lies in it.

    Raises:
        ConfigError: `batch` cannot be shared out evenly.
        ModelError: a strategy that needs a GPU or a package that is not here.
    """
    cuda = start.on_cuda
    rows, accumulation = micro_batches(recipe, world_size())
    warmed = "constant_with_warmup" if recipe.warmup else "constant"
    return {
        "output_dir": str(folder),
        "seed": seed,
        "per_device_train_batch_size": rows,
        "gradient_accumulation_steps": accumulation,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": warmed if recipe.schedule == "constant" else recipe.schedule,
        "warmup_steps": recipe.warmup,  # below 1: a share of all steps
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.clip,
        "num_train_epochs": recipe.epochs,
        "max_steps": recipe.max_steps or -1,
        "use_cpu": not cuda,
        "bf16": cuda,
        "gradient_checkpointing": cuda and parameters > LARGE,
        "dataloader_pin_memory": cuda,
        "save_strategy": "steps",
        "save_steps": recipe.checkpoint_every,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # would put the last finite loss in place of a NaN
        "report_to": "none",
        "disable_tqdm": True,
        "log_level": "error",
        **_strategy(recipe, cuda),
    }


def micro_batches(recipe: Recipe, workers: int) -> tuple[int, int]:
    """Rows in memory at once, and how many times they are gathered for one update.

    Raises:
        ConfigError: `batch` is no multiple of workers x micro_batch.
    """
    share, rest = divmod(recipe.batch, workers)
    rows = min(recipe.micro_batch or share, share)
    if rest or not rows or share % rows:
        raise ConfigError(
            f"batch={recipe.batch} cannot be shared out: {workers} workers, micro_batch={rows}",
            "Choose a batch that is a multiple of workers x micro_batch.",
        )
    return rows, share // rows


def lora_config(config: LoraConfig, model: PreTrainedModel) -> peft.LoraConfig:
    """PEFT's form of an adapter for `model`.

    Raises:
        ModelError: a target that the model does not have, or its output layer, which TRL reads past.
    """
    import peft
    from torch.nn import Linear
    from transformers.pytorch_utils import Conv1D  # GPT-2's linear layer

    every = config.targets == ("all-linear",)
    head = model.get_output_embeddings()
    names = [
        name
        for name, module in model.named_modules()
        if isinstance(module, Linear | Conv1D) and module is not head
    ]
    for target in () if every else config.targets:
        if not any(f".{name}".endswith(f".{target}") for name in names):
            raise ModelError(
                f"lora.targets: '{target}' is no layer of this model that an adapter can train",
                did_you_mean(target, {name.split(".")[-1] for name in names}),
            )
    return peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear" if every else list(config.targets),
        task_type="CAUSAL_LM",
    )


def _strategy(recipe: Recipe, cuda: bool) -> dict[str, Any]:
    if recipe.strategy != "ddp" and not cuda:  # accelerate would take ddp without a word
        raise ModelError(
            f"strategy={recipe.strategy} needs GPUs, and there is none here", "Set strategy=ddp."
        )
    if recipe.strategy == "fsdp":
        return {"fsdp": True}
    if recipe.strategy == "zero2":
        try:
            import deepspeed  # type: ignore[import-not-found]  # noqa: F401
        except ImportError as error:
            raise ModelError(
                f"strategy=zero2 needs DeepSpeed, which cannot be imported: {error}",
                "Install the extra: pip install 'rlpersona[deepspeed]', or use strategy=ddp.",
            ) from error
        auto = dict.fromkeys(
            (
                "train_micro_batch_size_per_gpu",
                "gradient_accumulation_steps",
                "gradient_clipping",
            ),
            "auto",
        )
        return {"deepspeed": {**auto, "zero_optimization": {"stage": 2}, "bf16": {"enabled": "auto"}}}
    return {"ddp_find_unused_parameters": False}
