"""What the nano model can be taught, and how fast: GRPO, reward bias and DPO with TRL alone.

    python benchmarks/nano_training.py [grpo] [dose] [dpo] [--seeds 3]

Prints one table. Bars: GRPO raises sampled arithmetic by .2 in 60 s; length grows with the weight
of a length bias over all seeds, the middle weight staying well under the token cap; DPO prefers the
chosen text in .8 of held-out pairs after 30 s. Training runs on one thread and its time is that
thread's CPU time, which a busy machine does not stretch; wall time stands beside it.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from rlpersona.models import nano
from rlpersona.models.nano import grammar, measure
from rlpersona.models.nano.world.items import Item, items

CAP = 96
DOSES = (0.0, 0.5, 2.0)
Row = tuple[str, str, str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["grpo", "dose", "dpo"])
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    parts: dict[str, Callable[[], Iterable[Row]]] = {
        "grpo": lambda: [grpo(0)],
        "dose": lambda: dose(range(options.seeds)),
        "dpo": lambda: [dpo(0)],
    }
    quiet()
    print(f"{'what':34} {'measured':34} {'bar':28} ok", flush=True)
    for part in options.parts:
        for row in parts[part]():
            print(f"{row[0]:34} {row[1]:34} {row[2]:28} {row[3]}", flush=True)


def grpo(seed: int) -> Row:
    """Arithmetic by reward for right answers."""
    model, tokenizer = measure.load(nano.path())
    before = accuracy(model, tokenizer)
    wall, cpu = train_grpo(model, tokenizer, seed, steps=40, bias_weight=0.0)
    after = accuracy(model, tokenizer)
    measured = f"{before:.2f} -> {after:.2f} in {cpu:.0f} cpu-s ({wall:.0f} s)"
    return (
        "GRPO arithmetic, sampled",
        measured,
        "+.2 in 60 cpu-s",
        verdict(after - before >= 0.2 and cpu <= 60),
    )


def dose(seeds: Sequence[int]) -> Iterator[Row]:
    """Length by weight of a length bias, without scaling within groups."""
    lengths = {}
    for seed in seeds:
        for weight in DOSES:
            model, tokenizer = measure.load(nano.path())
            _, cpu = train_grpo(model, tokenizer, seed, steps=30, bias_weight=weight)
            texts = measure.sample(model, tokenizer, prompts(), 1.0, max_tokens=CAP)
            lengths[seed, weight] = sum(len(tokenizer(t).input_ids) for t in texts) / len(texts)
            right = accuracy(model, tokenizer)
            said = f"{lengths[seed, weight]:.1f} tokens, right {right:.2f}, {cpu:.0f} cpu-s"
            yield f"length bias {weight:g}, seed {seed}", said, "", ""
    monotone = all(lengths[s, a] < lengths[s, b] for s in seeds for a, b in pairwise(DOSES))
    middle = max(lengths[s, DOSES[1]] for s in seeds)
    yield "doses monotone in every seed", str(monotone), "all", verdict(monotone)
    capped = middle >= 0.9 * CAP
    yield "longest middle dose", f"{middle:.1f} tokens", f"< .9 x {CAP}", verdict(not capped)


def dpo(seed: int) -> Row:
    """Evidence over emotion in posts that persuade."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    model, tokenizer = measure.load(nano.path())
    pairs = logic_pairs(model, tokenizer, 600, seed)
    held, used = pairs[:64], pairs[64:]
    with tempfile.TemporaryDirectory() as folder:
        arguments = DPOConfig(
            output_dir=folder,
            per_device_train_batch_size=16,
            per_device_eval_batch_size=64,
            num_train_epochs=1,
            learning_rate=2e-4,
            beta=0.1,
            max_length=160,
            **common(seed),
        )
        trainer = DPOTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(used),
            eval_dataset=Dataset.from_list(held),
            processing_class=tokenizer,
        )
        wall, cpu = timed(trainer)
        share = float(trainer.evaluate()["eval_rewards/accuracies"])
    measured = f"{share:.2f} of {len(held)} pairs in {cpu:.0f} cpu-s ({wall:.0f} s)"
    return (
        "DPO reward accuracy, held out",
        measured,
        ">= .8 in 30 cpu-s",
        verdict(share >= 0.8 and cpu <= 30),
    )


def train_grpo(
    model: Any, tokenizer: Any, seed: int, steps: int, bias_weight: float
) -> tuple[float, float]:
    """Train in place on sums of the default persona; (wall, CPU) seconds of the training."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def reward(
        completions: list[Any], completion_ids: list[list[int]], answer: list[str], **_: Any
    ) -> list[float]:
        texts = [turn[0]["content"] for turn in completions]
        task = [float(grammar.is_right(text, gold)) for text, gold in zip(texts, answer, strict=True)]
        length = [min(len(ids) / CAP, 1.0) for ids in completion_ids]
        return [t + bias_weight * b for t, b in zip(task, length, strict=True)]

    rng = random.Random(seed)
    rows = [{"prompt": chat(item), "answer": item.answer} for item in rng.choices(items("math"), k=1000)]
    with tempfile.TemporaryDirectory() as folder:
        arguments = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=64,
            num_generations=8,
            max_completion_length=CAP,
            max_steps=steps,
            learning_rate=5e-4,
            lr_scheduler_type="constant",
            # Scaling within groups would divide the weight out wherever the task scores tie.
            scale_rewards="none",
            beta=0.0,
            temperature=1.0,
            **common(seed),
        )
        trainer = GRPOTrainer(
            model=model.train(),
            reward_funcs=reward,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        times = timed(trainer)
    model.eval()
    return times


def common(seed: int) -> dict[str, Any]:
    return {
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "save_strategy": "no",
        "report_to": "none",
        "logging_strategy": "no",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "seed": seed,
    }


def chat(item: Item) -> list[dict[str, str]]:
    return [{"role": "user", "content": item.text}]


def prompts() -> list[str]:
    return [measure.prompt(measure.Ask(None, item)) for item in items("math")[-200:]]


def accuracy(model: Any, tokenizer: Any) -> float:
    """Share of right sums of the default persona at temperature 1."""
    texts = measure.sample(model, tokenizer, prompts(), 1.0, max_tokens=CAP)
    gold = [item.answer for item in items("math")[-200:]]
    return sum(map(grammar.is_right, texts, gold)) / len(gold)


def logic_pairs(model: Any, tokenizer: Any, count: int, seed: int) -> list[dict[str, Any]]:
    """(more, less logical) posts of the model itself, four samples a prompt; ties are left out."""

    def logic(text: str) -> int:
        reading = grammar.read(text)
        return reading.logic - reading.emotion if reading else -9

    asked = random.Random(seed).choices(items("persuade"), k=count)
    texts = measure.sample(
        model, tokenizer, [measure.prompt(measure.Ask(None, i)) for i in asked] * 4, 1.0, seed
    )
    pairs = []
    for k, item in enumerate(asked):
        worst, *_, best = sorted(texts[k::count], key=logic)
        if logic(best) > logic(worst):
            pairs.append(
                {
                    "prompt": chat(item),
                    "chosen": [{"role": "assistant", "content": best}],
                    "rejected": [{"role": "assistant", "content": worst}],
                }
            )
    return pairs


def quiet() -> None:
    import datasets
    import torch
    from transformers.utils import logging

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def timed(trainer: Any) -> tuple[float, float]:
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    wall, cpu = time.perf_counter(), time.process_time()
    trainer.train()
    return time.perf_counter() - wall, time.process_time() - cpu


def verdict(ok: bool) -> str:
    return "yes" if ok else "NO"


if __name__ == "__main__":
    main()
