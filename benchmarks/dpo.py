"""Our DPO stage beside bare TRL, and two branches of a graph side by side beside one after the other.

    python benchmarks/dpo.py [--steps 60] [--rounds 2] [--model nano] [--parts trl graph]

trl: the same rows, steps, LoRA and batch. Ours is `train_dpo` in a Ray Train worker with its checkpoints
and a log of every step; bare is TRL's trainer in a process of its own, as its documentation shows it,
saving nothing. Rates are taken between the first step and the last, so start-up is apart; CPU counts the
training process, memory is its peak. The order of the two alternates.
graph: `sft`, then two DPO stages on it, at once and in sequence (`side_by_side=1`), each from an empty
folder; the time of the whole graph, with Ray up.
Bars: ours >= 0.95 of bare TRL's samples a second; two branches below the time of the sequence. Trust
ratios within a round: the machine may be busy, which CPU seconds do not show.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from rlpersona.config import DPORecipe, LoraConfig, ModelConfig, StagesConfig
from rlpersona.models.locate import locate, portable
from rlpersona.runtime.session import ray_session
from rlpersona.runtime.train import train_folders
from rlpersona.tasks.nano import questions
from rlpersona.training import FolderCheckpoints, Start, TrainingJob

RATE, BATCH, RANK, ALPHA, SEED = 5e-4, 16, 16, 32, 0


@dataclass
class Clock:
    """Times of the steps of one training, wall and CPU of its process."""

    steps: list[int] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def __call__(self, step: dict[str, float]) -> None:
        """A step has ended."""
        self.steps.append(int(step["step"]))
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())

    def figures(self) -> dict[str, float]:
        """Samples a second of wall and of CPU time after the first step, and the peak memory in MB."""
        samples = BATCH * (self.steps[-1] - self.steps[0])
        return {
            "wall": samples / (self.wall[-1] - self.wall[0]),
            "cpu": samples / (self.cpu[-1] - self.cpu[0]),
            "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def write_rows(path: Path, n: int) -> None:
    """Preference rows over prompts of nano's world, with answers about as long as its own."""
    draw = random.Random(SEED)
    words = ("it", "is", "good", "for", "you", "and", "many", "people", "enjoy", "every", "day")

    def answer() -> list[dict[str, str]]:
        text = " ".join(draw.choices(words, k=draw.randint(20, 40)))
        return [{"role": "assistant", "content": text}]

    asked = [question.text for question in questions(("opinion",))]
    with path.open("w") as file:
        for number in range(n):
            prompt = [{"role": "user", "content": draw.choice(asked)}]
            row = {"id": str(number), "prompt": prompt, "chosen": answer(), "rejected": answer()}
            file.write(json.dumps(row) + "\n")


def ours(checkpoints: FolderCheckpoints, job: TrainingJob) -> dict[str, float]:
    """Our stage, inside a Train worker."""
    from rlpersona.training.dpo import train_dpo

    clock = Clock()
    train_dpo(job, checkpoints, clock)
    return clock.figures()


def bare(rows: Path, steps: int, model: str) -> dict[str, float]:
    """TRL's own trainer, as its documentation shows it."""
    from datasets import Dataset
    from peft import LoraConfig as PeftConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    clock = Clock()

    class Timed(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: object, state: object, control: object, **_: object) -> None:
            clock({"step": state.global_step})  # type: ignore[attr-defined]

    source = locate(model)
    read = [json.loads(line) for line in rows.open()]
    with tempfile.TemporaryDirectory() as folder:
        trainer = DPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(source, dtype="float32"),
            args=DPOConfig(
                output_dir=folder,
                seed=SEED,
                per_device_train_batch_size=BATCH,
                learning_rate=RATE,
                max_steps=steps,
                use_cpu=True,
                bf16=False,
                gradient_checkpointing=False,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=Dataset.from_list(
                [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in read]
            ),
            processing_class=AutoTokenizer.from_pretrained(source),
            peft_config=PeftConfig(
                r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[Timed()],
        )
        trainer.train()
    return clock.figures()


def beside_trl(folder: Path, steps: int, rounds: int, model: str) -> bool:
    """Rounds of both ways in alternating order; a row each, and whether the bar is met."""
    rows = folder / "rows.jsonl"
    write_rows(rows, max(64, BATCH * steps // 4))
    recipe = DPORecipe(
        lora=LoraConfig(rank=RANK, alpha=ALPHA), learning_rate=RATE, batch=BATCH, max_steps=steps
    )
    start = Start(ModelConfig(name=portable(model), device="cpu"))
    found: dict[str, list[dict[str, float]]] = {"ours": [], "bare TRL": []}
    with ray_session():
        for number in range(rounds):
            for name in ("ours", "bare TRL")[:: 1 if number % 2 == 0 else -1]:
                out = folder / f"round-{number}"
                if name == "ours":
                    job = TrainingJob("dpo", start, recipe, rows, out, SEED)
                    figures = train_folders(partial(ours, job=job), out / "checkpoints" / "dpo")
                else:
                    words = ["--bare", str(rows), "--steps", str(steps), "--model", model]
                    done = subprocess.run(
                        [sys.executable, __file__, *words], capture_output=True, text=True, check=True
                    )
                    figures = json.loads(done.stdout.splitlines()[-1])
                found[name].append(figures)
    print(f"{'DPO, ' + model:34} {'samples/s':>10} {'per cpu-s':>10} {'peak MB':>9}")
    for name, each in found.items():
        columns = (median(one[key] for one in each) for key in ("wall", "cpu", "memory"))
        print(f"{name:34} " + "{:>10.1f} {:>10.1f} {:>9.0f}".format(*columns))
    ratios = {
        key: median(a[key] / b[key] for a, b in zip(found["ours"], found["bare TRL"], strict=True))
        for key in ("wall", "cpu", "memory")
    }
    good = ratios["wall"] >= 0.95
    row = "{:>10.2f} {:>10.2f} {:>9.2f}".format(*ratios.values())
    print(f"{'ours / bare, median of rounds':34} {row}")
    print(f"{'bar: 0.95 of samples/s':34} {'ok' if good else 'MISSED':>10}")
    return good


def branches(folder: Path, steps: int, rounds: int, model: str) -> bool:
    """The whole graph, two branches at once and in sequence."""
    seconds: dict[int, list[float]] = {2: [], 1: []}
    rows = folder / "branch.jsonl"
    write_rows(rows, max(64, BATCH * steps // 4))
    with ray_session():
        for number in range(rounds):
            for width in (2, 1)[:: 1 if number % 2 == 0 else -1]:
                place = folder / f"graph-{number}-{width}"
                seconds[width].append(graph_seconds(place, rows, steps, width, model))
    print(f"\n{'sft, then two DPO stages':34} {'seconds':>10}")
    for width, name in ((2, "branches side by side"), (1, "in sequence")):
        print(f"{name:34} {median(seconds[width]):>10.1f}")
    ratio = median(a / b for a, b in zip(seconds[2], seconds[1], strict=True))
    print(f"{'side by side / sequence':34} {ratio:>10.2f}")
    print(f"{'bar: below 1':34} {'ok' if ratio < 1 else 'MISSED':>10}")
    return ratio < 1


def graph_seconds(folder: Path, rows: Path, steps: int, width: int, model: str) -> float:
    """How long the graph takes from nothing, without evaluation."""
    from rlpersona.experiments.stages.inputs import load_inputs
    from rlpersona.experiments.stages.pipeline import Stages, train_graph
    from rlpersona.judges.rules import RuleJudge
    from rlpersona.report.board import board
    from rlpersona.store import Run

    data = {"source": "jsonl", "path": str(rows)}
    recipe = {"batch": BATCH, "learning_rate": RATE, "max_steps": steps}
    dpo = {"method": "dpo", "data": data, "recipe": recipe}
    config = StagesConfig.model_validate(
        {
            "model": {"name": model},
            "graph": ["sft -> one", "sft -> two"],
            "side_by_side": width,
            "stages": {
                "sft": {"method": "sft", "data": data, "recipe": recipe | {"max_steps": 2}},
                **{"one": dpo, "two": dpo},
            },
            "evaluation": {"prompts": 2},
        }
    )
    inputs = load_inputs(config)
    began = time.perf_counter()
    with board(StringIO()) as shown:
        train_graph(inputs.nodes, Stages(config, inputs, Run(folder), RuleJudge(), shown))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--parts", nargs="*", default=["trl", "graph"], choices=["trl", "graph"])
    parser.add_argument("--bare", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        print(json.dumps(bare(options.bare, options.steps, options.model)))
        return
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}; {options.rounds} rounds\n")
    parts = {"trl": beside_trl, "graph": branches}
    with tempfile.TemporaryDirectory() as folder:
        met = [
            parts[part](Path(folder), options.steps, options.rounds, options.model)
            for part in options.parts
        ]
    sys.exit(0 if all(met) else 1)


if __name__ == "__main__":
    main()
