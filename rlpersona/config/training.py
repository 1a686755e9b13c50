"""Recipes of the trainers: SFT, DPO and GRPO. What they share is said once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from rlpersona.config.base import Config, Names


class LoraConfig(Config):
    """A low-rank adapter (Hu et al. 2021, arXiv:2106.09685): W + alpha / rank * B A."""

    rank: int = Field(16, ge=1)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0, ge=0, lt=1)
    targets: Names = Field(("all-linear",), description="names of modules, or all-linear")


class Recipe(Config):
    """What every training has."""

    full: bool = Field(False, description="train all weights instead of an adapter")
    lora: LoraConfig = LoraConfig()
    quantize: Literal["none", "4bit"] = Field("none", description="4bit: needs a GPU and extra '4bit'")
    learning_rate: float = Field(1e-4, gt=0)
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup: float = Field(0, ge=0, lt=1, description="share of the steps with a rising learning rate")
    weight_decay: float = Field(0, ge=0)
    clip: float = Field(1.0, gt=0, description="largest norm of a gradient")
    epochs: float = Field(1, gt=0)
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps; empty: by epochs")
    batch: int = Field(16, ge=1, description="rows (packs of rows) of one update, over all workers")
    micro_batch: int | None = Field(None, ge=1, description="rows in memory at once; empty: all")
    checkpoint_every: int = Field(50, ge=1, description="steps between two checkpoints")
    workers: int = Field(1, ge=1, description="processes that train together")
    strategy: Literal["ddp", "fsdp", "zero2"] = Field("ddp", description="how they share the work")
    cpus_per_worker: float = Field(1, ge=0)
    gpus_per_worker: float = Field(0, ge=0)

    def model_post_init(self, _: Any) -> None:
        """ValueError where values do not go together."""
        if self.batch % (self.workers * (self.micro_batch or 1)):
            raise ValueError(
                f"batch={self.batch} is no multiple of workers x micro_batch"
                f" ({self.workers} x {self.micro_batch or 1})"
            )
        if self.full and self.quantize != "none":
            raise ValueError(
                "quantize=4bit trains an adapter: weights of 4 bits cannot be trained (full)"
            )


class SFTRecipe(Recipe):
    """Supervised fine-tuning on the completion alone: prompt tokens carry no loss."""

    max_length: int | None = Field(None, ge=16, description="tokens of a row; empty: the model's window")
    packing: bool = Field(False, description="several rows in one sequence (attention kept apart)")


class DPORecipe(Recipe):
    """Direct preference optimisation (Rafailov et al. 2023, arXiv:2305.18290) and its kin."""

    max_length: int | None = Field(None, ge=16, description="tokens of a row; empty: the model's window")
    beta: float = Field(0.1, gt=0)
    loss: Literal["sigmoid", "hinge", "ipo", "robust"] = "sigmoid"
    label_smoothing: float = Field(
        0, ge=0, lt=0.5, description="share of labels taken as wrong (loss=robust)"
    )

    def model_post_init(self, context: Any) -> None:
        """ValueError where the loss would not use the smoothing, or needs it."""
        super().model_post_init(context)
        if (self.label_smoothing > 0) != (self.loss == "robust"):
            raise ValueError("label_smoothing above 0 goes with loss=robust, and with no other loss")


class GRPORecipe(Recipe):
    """Group-relative policy optimisation (Shao et al. 2024, arXiv:2402.03300)."""

    batch: int = Field(64, ge=2, description="completions of one update, over all workers")
    max_steps: int | None = Field(100, ge=1)
    num_generations: int = Field(8, ge=2, description="completions of a prompt: the group")
    max_completion: int = Field(96, ge=1, description="tokens; a completion cut here has not stopped")
    temperature: float = Field(1.0, gt=0)
    beta: float = Field(0.0, ge=0, description="weight of the KL penalty")
    scale_rewards: Literal["none", "group", "batch"] = Field(
        "none",
        description="what advantages are divided by; group divides a bias out where task scores tie",
    )
    loss: Literal["dapo", "grpo", "bnpo", "dr_grpo"] = "dapo"
    num_iterations: int = Field(1, ge=1, description="updates on one batch of completions")
    rollouts: Literal["hf", "vllm"] = Field("hf", description="who writes completions while training")
    vllm_mode: Literal["colocate", "server"] = "colocate"
    vllm_server: str = Field("", description="address of a running server, for vllm_mode=server")
    vllm_gpu_memory: float = Field(
        0.3, gt=0, le=1, description="share of GPU memory that vLLM takes beside the training (colocate)"
    )

    def model_post_init(self, context: Any) -> None:
        """ValueError where groups would be cut, or completions be used on both sides of a checkpoint."""
        super().model_post_init(context)
        if self.batch % (self.workers * self.num_generations):
            raise ValueError(
                f"batch={self.batch} is no multiple of workers x num_generations"
                f" ({self.workers} x {self.num_generations}): a group stays on one worker"
            )
        if self.checkpoint_every % self.num_iterations:
            raise ValueError(
                f"checkpoint_every={self.checkpoint_every} is no multiple of"
                f" num_iterations={self.num_iterations}: completions are not kept in a checkpoint"
            )
        if (self.vllm_mode == "server") != bool(self.vllm_server):
            raise ValueError("vllm_mode=server and vllm_server=ADDRESS go together")
