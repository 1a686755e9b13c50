"""Six conditions as one sweep, beside six processes of bare TRL one after another.

    python benchmarks/sweep.py [--steps 10] [--rounds 1]

Both train the same adapters: nano, the same prompts in the same order, the same reward, recipe and
seeds (three doses of a length bias x two seeds), on one thread a training. Bare TRL is GRPOTrainer in a
process of its own for each condition, as a shell script would start it; it logs nothing and keeps no
checkpoint. Ours is the training part of `rlpersona sweep`: Ray is started, two trials run at a time, and
each condition has telemetry, looks at held-out prompts, a checkpoint, its adapter and its log. The
readout is left out of both. Prints wall seconds and, as a check that both did the same work, how far
apart the two adapters of a condition are, relative to what was learned. Bar: wall time at most 0.6 of
bare TRL's, on two idle cores. The order alternates with `--rounds`.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from rlpersona.config import SweepConfig
from rlpersona.experiments.dose.conditions import Condition, conditions
from rlpersona.experiments.dose.sweep import Inputs, load_sweep, train
from rlpersona.experiments.dose.trials import folder_of
from rlpersona.presets.sweep import nano_length
from rlpersona.runtime.session import ray_session
from rlpersona.store import opened

BAR = 0.6


def config_of(steps: int) -> SweepConfig:
    """Three doses x two seeds of the preset, `steps` updates each."""
    plain = nano_length()
    recipe = plain.recipe.model_copy(update={"max_steps": steps, "checkpoint_every": steps})
    factors = {"bias_weights": (0.0, 0.3, 1.0), "seeds": (1, 2), "at_once": 2}
    return plain.model_copy(update={"name": "sweep", "recipe": recipe, **factors})


def bare(steps: int, name: str, out: Path) -> None:
    """One condition by TRL alone; what a process of its own does."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from trl import GRPOConfig, GRPOTrainer

    from rlpersona.models.locate import locate
    from rlpersona.rewards import Answer, make_reward
    from rlpersona.tasks.suite import load_suite
    from rlpersona.training.rollouts import prompt_order

    sweep = config_of(steps)
    config = next(one.config for one in conditions(sweep) if one.id == name)
    recipe = config.recipe
    prompts = load_suite(sweep.suite, sweep.seed).train
    order = prompt_order(prompts, steps * recipe.batch // recipe.num_generations, config.seed)
    score = make_reward(config.reward, config.seed, recipe.max_completion)
    set_seed(config.seed)
    path = locate(config.model.name)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)

    def reward(
        completions: list[list[dict[str, str]]],
        completion_ids: list[list[int]],
        question: list[int],
        **_: object,
    ) -> list[float | None]:
        answers = []
        for at, turns, ids in zip(question, completions, completion_ids, strict=True):
            ended = bool(ids) and ids[-1] == tokenizer.eos_token_id
            answers.append(Answer(prompts[at], turns[0]["content"].strip(), len(ids) - ended, ended))
        return score(answers).total

    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(out),
            per_device_train_batch_size=recipe.batch,
            num_generations=recipe.num_generations,
            max_completion_length=recipe.max_completion,
            max_steps=steps,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type=recipe.schedule,
            max_grad_norm=recipe.clip,
            scale_rewards=recipe.scale_rewards,
            loss_type=recipe.loss,
            beta=recipe.beta,
            temperature=recipe.temperature,
            shuffle_dataset=False,
            seed=config.seed,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            dataloader_pin_memory=False,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(
            [{"prompt": [{"role": "user", "content": prompts[at].text}], "question": at} for at in order]
        ),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=recipe.lora.rank,
            lora_alpha=recipe.lora.alpha,
            lora_dropout=recipe.lora.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
    )
    trainer.train()
    trainer.save_model(str(out / "adapter"))


def in_processes(steps: int, inputs: Inputs, root: Path) -> None:
    """Every condition by a process of its own, one after another."""
    for one in inputs.conditions:
        command = [sys.executable, __file__, "--steps", str(steps), "--bare", one.id]
        done = subprocess.run(
            [*command, "--out", str(root / one.id)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(done.stderr)


def as_sweep(config: SweepConfig, inputs: Inputs, root: Path) -> None:
    """Every condition by the sweep, Ray's start included."""
    with opened(root, config) as run, ray_session(cpus=2):
        train(config, inputs, run)


def measured(work: Callable[[], None]) -> float:
    """Wall seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def difference(ours: Path, theirs: Path) -> float:
    """|ours - theirs| / |theirs| over the B matrices, which begin at zero: 0 for the same training."""
    from safetensors.torch import load_file

    left, right = (load_file(path / "adapter" / "adapter_model.safetensors") for path in (ours, theirs))
    ups = [name for name in right if ".lora_B" in name]
    gap = sum(float((left[name] - right[name]).norm() ** 2) for name in ups)
    return float((gap / sum(float(right[name].norm() ** 2) for name in ups)) ** 0.5)


def compare(steps: int, turn: int) -> float:
    """Both ways once; the ratio of their wall times."""
    config = config_of(steps)
    inputs = load_sweep(config)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        ways: dict[str, Callable[[], None]] = {
            "rlpersona": lambda: as_sweep(config, inputs, root / "runs"),
            "bare TRL": lambda: in_processes(steps, inputs, root / "bare"),
        }
        order = list(ways) if turn % 2 == 0 else list(ways)[::-1]
        times = {name: measured(ways[name]) for name in order}
        for name in ways:
            ratio = times[name] / times["bare TRL"]
            print(f"{name:<12}{times[name]:>10.1f}{ratio:>14.2f}", flush=True)
        with opened(root / "runs", config, resume=True) as run:
            gaps = [differing(run.folder, root / "bare", one) for one in inputs.conditions]
    print(f"mean difference of the adapters, relative to what was learned: {sum(gaps) / len(gaps):.2g}")
    return times["rlpersona"] / times["bare TRL"]


def differing(ours: Path, theirs: Path, one: Condition) -> float:
    from rlpersona.store import Run

    return difference(folder_of(Run(ours), one.id), theirs / one.id)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--bare", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        import torch

        torch.set_num_threads(1)
        bare(options.steps, options.bare, options.out)
        return
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"6 conditions of {options.steps} steps, 2 at a time, beside 6 processes in sequence")
    print(f"{'':<12}{'wall s':>10}{'of bare TRL':>14}")
    ratios = [compare(options.steps, turn) for turn in range(options.rounds)]
    ok = max(ratios) <= BAR
    print(
        f"wall time of ours / bare TRL: {max(ratios):.2f} (bar: at most {BAR}): {'ok' if ok else 'NO'}"
    )


if __name__ == "__main__":
    main()
