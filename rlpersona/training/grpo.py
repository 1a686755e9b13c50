"""Group-relative policy optimisation (Shao et al. 2024, arXiv:2402.03300) under a composed reward."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlpersona.config import GRPOConfig
from rlpersona.errors import DataError, ModelError
from rlpersona.training.arguments import LARGE, lora_config, trainer_arguments, world_size
from rlpersona.training.checkpoints import FolderCheckpoints
from rlpersona.training.fit import fit, save_result, workspace
from rlpersona.training.job import OnStep
from rlpersona.training.rollouts import prompt_order, rollout_arguments, rollout_engine
from rlpersona.training.start import Start, load_start
from rlpersona.types import Question


@dataclass(frozen=True)
class GRPOJob:
    """A training under one reward: `config` says how, the questions say on what.

    `out` gets `adapter/` (PEFT, with `lineage.json`) or, where the recipe is full, `model/`; and the
    same as `steps/step-NNNNNN/` at the readout steps before the last. Each is whole or not there.
    The first `config.readout.held_out` of `held_out` are watched while training, none is trained on.
    """

    config: GRPOConfig
    start: Start
    train: Sequence[Question]
    held_out: Sequence[Question]
    out: Path


def train_grpo(
    job: GRPOJob,
    checkpoints: FolderCheckpoints,
    on_step: OnStep | None = None,
    callbacks: Sequence[Any] = (),
) -> dict[str, Any]:
    """Train with TRL's GRPOTrainer; each completion earns what `config.reward` says.

    The loss is TRL's `config.recipe.loss` on the advantages A = r - mean of the group (scaled as
    `scale_rewards` says), with the penalty beta KL(now, start) where beta > 0.

    Conditions of one seed have random numbers in common: the same adapter at the start, bit for bit, the
    same prompts in the same order, and (HF engine) the same completions in the first step. Prompts come
    in turns of the domains, so each domain has an equal share of every step. A training that is resumed
    ends in the same weights (HF engine, CPU).

    `on_step` gets one row a step: `step`, `loss`, `grad_norm`, `learning_rate`, `entropy`, `kl` (beta
    above 0), and the measures of `telemetry.step_measures`; at step 0, at every `readout.watch_every`-th
    step and the last also those of `watch.Watch.look`. DOMAIN/ before a name: of that domain alone.
    `callbacks` are transformers' own (`axis.callback.AxisWatch`); what they add to a step's log is in
    its row.

    Returns the measures of the last step and those of `fit`.

    Raises:
        DataError: no prompt to train on, or one prompt on both sides.
        ModelError, RunError: as `train_sft`; ModelError also for settings that need a GPU.
    """
    config, recipe = job.config, job.config.recipe
    check(job)
    from rlpersona.rewards import make_reward

    with workspace() as folder, rollout_engine(recipe, job.start):
        from datasets import Dataset
        from transformers import set_seed
        from trl import GRPOConfig as Arguments

        from rlpersona.training.grpo_trainer import GRPO
        from rlpersona.training.watch import Watch

        lineage = job.start.lineage()
        set_seed(config.seed)  # before anything is drawn: the adapter's weights are
        model, tokenizer = load_start(job.start, quantize=recipe.quantize, full=recipe.full)
        reward = make_reward(config.reward, config.seed, recipe.max_completion)
        steps = total_steps(config, len(job.train))
        arguments = Arguments(
            **trainer_arguments(recipe, job.start, config.seed, folder, model.num_parameters())
            | {"max_steps": steps, "num_train_epochs": 1},
            num_generations=recipe.num_generations,
            max_completion_length=recipe.max_completion,
            temperature=recipe.temperature,
            beta=recipe.beta,
            scale_rewards=recipe.scale_rewards,
            loss_type=recipe.loss,
            num_iterations=recipe.num_iterations,
            shuffle_dataset=False,  # the rows are in their order
            **rollout_arguments(recipe, job.start),
        )
        # As many for each worker: they draw together.
        watched = job.held_out[: config.readout.held_out // recipe.workers * recipe.workers]
        start = _start_weights(model, job, arguments) if watched else None
        watch = Watch(watched, reward, config.readout.watch_every, config.seed, start)
        trainer = GRPO(
            questions=job.train,
            reward=reward,
            watch=watch,
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(_rows(job, steps)),
            processing_class=tokenizer,
            peft_config=None if recipe.full else lora_config(recipe.lora, model),
            callbacks=list(callbacks),
        )
        _add_callbacks(trainer, job, lineage, on_step)
        measures = fit(trainer, checkpoints, on_step)
        save_result(trainer, job.out, lineage)
    done = measures["steps"] - measures["resumed_at"]
    return {**measures, "samples_per_second": done * recipe.batch / measures["seconds"]}


def total_steps(config: GRPOConfig, prompts: int) -> int:
    """How many updates a training has: `max_steps`, or as many as its epochs over the prompts take."""
    recipe = config.recipe
    if recipe.max_steps is not None:
        return recipe.max_steps
    asked = recipe.epochs * prompts * recipe.num_generations * recipe.num_iterations
    return max(1, math.ceil(asked / recipe.batch))


def _rows(job: GRPOJob, steps: int) -> list[dict[str, Any]]:
    """The prompts of all steps, in their order: one epoch is the whole training."""
    recipe = job.config.recipe
    batches = math.ceil(steps / recipe.num_iterations)
    order = prompt_order(job.train, batches * recipe.batch // recipe.num_generations, job.config.seed)
    return [
        {"prompt": [{"role": "user", "content": job.train[at].text}], "question": at} for at in order
    ]


def _start_weights(model: Any, job: GRPOJob, arguments: Any) -> Any:
    """A copy of the model as it is, where nothing else remembers it and there is room for one."""
    recipe = job.config.recipe
    if not recipe.full or recipe.strategy != "ddp" or model.num_parameters() > LARGE:
        return None
    from trl.trainer.utils import add_fused_lm_head

    start = copy.deepcopy(model).eval().requires_grad_(False).to(arguments.device)
    add_fused_lm_head(start, temperature=arguments.temperature)
    return start


def _add_callbacks(trainer: Any, job: GRPOJob, lineage: Any, on_step: OnStep | None) -> None:
    from rlpersona.training.snapshots import FirstLook, Snapshots

    trainer.add_callback(FirstLook(trainer, on_step))
    if job.config.readout.every is not None:
        trainer.add_callback(Snapshots(trainer, job.out / "steps", job.config.readout.every, lineage))


def check(job: GRPOJob) -> None:
    """DataError or ModelError for a job that cannot be trained here, before anything is loaded."""
    recipe = job.config.recipe
    if not job.train:
        raise DataError("there is no prompt to train on", "Give a suite with training prompts.")
    shared = {question.text for question in job.train} & {question.text for question in job.held_out}
    if shared:
        raise DataError(
            f"{len(shared)} held-out prompts are trained on, such as '{min(shared)[:60]}'",
            "Take both from load_suite, which keeps them apart.",
        )
    if recipe.strategy != "ddp" and not job.start.on_cuda:
        raise ModelError(
            f"strategy={recipe.strategy} shares weights between GPUs, and there is none here",
            "Use strategy=ddp.",
        )
    if recipe.workers != world_size():
        raise ModelError(
            f"workers={recipe.workers}, but {world_size()} process trains here",
            "Run it through rlpersona.experiments.dose.grpo, which starts the workers.",
        )
