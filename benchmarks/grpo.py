"""GRPO on the nano model: our training beside bare TRL, completions by transformers beside vLLM.

    python benchmarks/grpo.py [training] [rollouts] [sweep] [--steps 20] [--rounds 2]

All ways train the same policy (full, batch 64, groups of 8, 64 tokens, length bias .3) on the same
prompts in the same order, each in a process of its own, in turns, from the end of the first step to the
end of the last: start-up is left out. Ours does what TRL does, and reports the parts of the reward, the
effective dose and the rest of the telemetry by domain; "with looks" also asks 48 held-out prompts every
10 steps. Bare TRL gets our reward function and nothing else, and must end in the same weights.
Bars: ours >= 0.95 of the samples a second of bare TRL (CPU time); a sweep of 6 conditions <= 0.6 of the
wall time of 6 bare TRL processes one after another. Trust ratios: the machine may be busy.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from rlpersona.config import GRPOConfig, ModelConfig
from rlpersona.rewards import Answer, make_reward
from rlpersona.tasks.suite import load_suite
from rlpersona.training import LocalCheckpoints, Start
from rlpersona.training.grpo import GRPOJob, train_grpo
from rlpersona.training.rollouts import prompt_order

BAR = 0.95
LOOKS = "ours, with looks"
Found = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["training", "rollouts", "sweep"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.steps)))
        return
    print(f"{'way':28} {'samples/s':>10} {'per cpu-s':>10} {'step ms':>9} {'cpu ms':>8}  of the first")
    if "training" in options.parts:
        training(options.steps, options.rounds)
    if "rollouts" in options.parts:
        table(("ours", "ours, vLLM rollouts"), options.steps, options.rounds)
    if "sweep" in options.parts:
        sweep()


def training(steps: int, rounds: int) -> None:
    found = table(("bare TRL", "ours", LOOKS), steps, rounds)
    same = len({one["weights"] for runs in found.values() for one in runs}) == 1
    ratio = ratio_of(found, "ours", "bare TRL")
    print(f"same weights at the end: {verdict(same)}")
    print(
        f"ours / bare TRL: {ratio:.3f} of its samples a CPU second (bar {BAR}): {verdict(ratio >= BAR)}"
    )


def sweep() -> None:
    """Six conditions as one sweep, beside six bare processes in sequence."""
    subprocess.run([sys.executable, str(Path(__file__).with_name("sweep.py"))], check=True)


def table(ways: tuple[str, ...], steps: int, rounds: int) -> dict[str, list[Found]]:
    """Measure the ways in turns and print a row each."""
    found: dict[str, list[Found]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in ways if turn % 2 == 0 else reversed(ways):
            found[way].append(apart(way, steps))
    for way, runs in found.items():
        wall, cpu = (
            statistics.median(one[key] / one["steps"] for one in runs) for key in ("wall", "cpu")
        )
        batch = runs[0]["batch"]
        relative = ratio_of(found, way, ways[0])
        print(
            f"{way:28} {batch / wall:10.1f} {batch / cpu:10.1f} {1000 * wall:9.0f} {1000 * cpu:8.0f}"
            f"  {relative:.3f}",
            flush=True,
        )
    return found


def ratio_of(found: dict[str, list[Found]], way: str, against: str) -> float:
    """Samples a CPU second of one way over those of another, the median over the rounds."""
    return statistics.median(
        theirs["cpu"] / ours["cpu"] for ours, theirs in zip(found[way], found[against], strict=True)
    )


def apart(way: str, steps: int) -> Found:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{way} failed:\n{done.stderr[-2000:]}")
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(way: str, steps: int) -> Found:
    import torch

    torch.set_num_threads(1)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        (bare if way == "bare TRL" else ours)(config(way, steps), out, clock)
        weights = hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()
    return {**clock.between(), "batch": 64, "weights": weights}


class Clock:
    """Wall and CPU time at the end of each step; the first ends the start-up."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    def tick(self, row: dict[str, float]) -> None:
        """A step has ended (step 0 is the look before the first)."""
        if row["step"] > 0:
            self.times.append((time.perf_counter(), time.process_time()))

    def between(self) -> Found:
        """Seconds and steps from the end of the first step to the end of the last."""
        (wall, cpu), (wall_end, cpu_end) = self.times[0], self.times[-1]
        return {"wall": wall_end - wall, "cpu": cpu_end - cpu, "steps": len(self.times) - 1}


def config(way: str, steps: int) -> GRPOConfig:
    recipe = {
        "full": True,
        "learning_rate": 2e-4,
        "schedule": "constant",
        "max_steps": steps,
        "max_completion": 64,
        "checkpoint_every": steps,
        "rollouts": "vllm" if "vLLM" in way else "hf",
    }
    return GRPOConfig(
        suite={"size": 480, "evaluation": 48},
        reward={"biases": {"length": 0.3}},
        recipe=recipe,
        readout={"held_out": 48 if way == LOOKS else 0, "watch_every": 10},
    )


def ours(config: GRPOConfig, out: Path, clock: Clock) -> None:
    suite = load_suite(config.suite, 0)
    job = GRPOJob(config, Start(ModelConfig(device="cpu")), suite.train, suite.held_out, out)
    train_grpo(job, LocalCheckpoints(out / "checkpoints"), clock.tick)


def bare(config: GRPOConfig, out: Path, clock: Clock) -> None:
    """The same with TRL alone: what a script would write."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback
    from trl import GRPOConfig as Arguments
    from trl import GRPOTrainer

    from rlpersona.models import nano

    recipe, suite = config.recipe, load_suite(config.suite, 0)
    scored = make_reward(config.reward, config.seed, recipe.max_completion)

    def reward(completions: Any, completion_ids: Any, question: Any, **_: Any) -> list[float | None]:
        answers = [
            Answer(
                suite.train[at], turn[0]["content"].strip(), len(ids) - (ids[-1] == end), ids[-1] == end
            )
            for at, turn, ids in zip(question, completions, completion_ids, strict=True)
        ]
        return scored(answers).total

    class Ticking(TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if "loss" in logs:
                clock.tick({"step": state.global_step})

    tokenizer = AutoTokenizer.from_pretrained(nano.path())
    end = tokenizer.eos_token_id
    count = recipe.max_steps * recipe.batch // recipe.num_generations
    rows = [
        {"prompt": [{"role": "user", "content": suite.train[at].text}], "question": at}
        for at in prompt_order(suite.train, count, config.seed)
    ]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(nano.path()),
        reward_funcs=reward,
        args=Arguments(
            output_dir=str(out / "bare"),
            per_device_train_batch_size=recipe.batch,
            num_generations=recipe.num_generations,
            max_completion_length=recipe.max_completion,
            max_steps=recipe.max_steps,
            num_train_epochs=1,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type="constant",
            scale_rewards="none",
            beta=0.0,
            temperature=1.0,
            seed=config.seed,
            shuffle_dataset=False,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Ticking()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(str(out / "model"))


def verdict(ok: bool) -> str:
    return "yes" if ok else "NO"


if __name__ == "__main__":
    main()
