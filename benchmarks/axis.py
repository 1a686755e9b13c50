"""Responses a second: extraction of activations beside a batch-1 loop and a bare forward pass.

    python benchmarks/axis.py [--responses 768] [--no-live]

The nano model answers questions of its world under several personas, then the mean activations of all
answers are wanted, after every block. The loop is how the published scripts work: one response at a
time, the whole model with hooks that keep what each block gives, means afterwards. The bare way batches
well, sorted by length, and keeps nothing: no hooks, no means, no logits. All start from the same chats,
ours from the ids of the completions, the others from their texts; templates and tokenisation count,
loading does not. CPU seconds of one thread; medians over seven rounds, ratios within a round.
Memory is the peak of a process of its own that streams its means to a file (Linux). The last line is
the live look along directions while a GRPO of the nano world trains, every 5 steps.
Bars: >= 5x the loop, >= 0.85 of the bare pass, memory flat in the number of responses, a live look
under 5 % of a step.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from rlpersona.axis.activations import CPU_TOKENS, Chat, Extractor
from rlpersona.axis.streaming import save_stream
from rlpersona.config import ModelConfig
from rlpersona.models import nano
from rlpersona.models.sharing import batches
from rlpersona.tasks import nano as nano_tasks
from rlpersona.types import Prompt, Sampling

RUNS = 7
MEMORY = (2_000, 8_000)
CONFIG = ModelConfig(device="cpu")
Way = Callable[[Sequence[Chat]], Any]


def asked(count: int) -> list[Prompt]:
    """Questions of the nano world, put to several personas."""
    questions = nano_tasks.questions(per_domain=64)
    people = [person.system for person in nano.personas()[:8]]
    return [Prompt.ask(question.text, who) for question in questions for who in people][:count]


def answered(extractor: Extractor, prompts: Sequence[Prompt]) -> tuple[list[Chat], list[Chat]]:
    """The model's own answers to them: as token ids, and as texts."""
    answers = extractor.generate(prompts, Sampling(max_tokens=96))
    both = list(zip(prompts, answers, strict=True))
    return [(prompt, one.token_ids) for prompt, one in both], [
        (prompt, one.text) for prompt, one in both
    ]


def cpu_seconds(ways: dict[str, tuple[Way, Sequence[Chat]]]) -> dict[str, list[float]]:
    """CPU seconds of each way in `RUNS` rounds; in a round they take turns, since machines vary."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for way, chats in ways.values():
        way(chats[:64])
    for _ in range(RUNS):
        for name, (way, chats) in ways.items():
            begun = time.thread_time()
            way(chats)
            found[name].append(time.thread_time() - begun)
    return found


class Bare:
    """transformers called directly, as a script would."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(nano.path(), padding_side="right")
        self.net = AutoModelForCausalLM.from_pretrained(nano.path(), dtype=torch.float32).eval()

    def text(self, prompt: Prompt) -> str:
        """The chat with its generation prompt."""
        turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def loop(self, chats: Sequence[Chat]) -> Any:
        """One response after another as the published scripts do: the whole chat rendered and tokenised,
        the prompt too to find where the response begins, hooks put on and taken off, means afterwards:
        float32 (responses, layers, d)."""
        import torch

        means = []
        for prompt, answer in chats:
            head = self.text(prompt)
            start = len(self.tokenizer(head)["input_ids"])
            whole = self.tokenizer(self.text(prompt) + str(answer), return_tensors="pt")
            kept: list[Any] = []
            hooks = [
                layer.register_forward_hook(lambda _m, _i, output, kept=kept: kept.append(output))
                for layer in self.net.model.layers
            ]
            with torch.no_grad():
                self.net(**whole)
            for hook in hooks:
                hook.remove()
            span = list(range(start, whole["input_ids"].shape[1]))
            means.append(torch.stack([hidden[0][span].mean(dim=0).cpu() for hidden in kept]))
        return torch.stack(means).numpy()

    def batched(self, chats: Sequence[Chat]) -> None:
        """Length-sorted batches through the blocks; nothing is kept."""
        import torch

        rows = self.tokenizer([self.text(p) + str(a) for p, a in chats], add_special_tokens=False)
        ids = rows["input_ids"]
        for batch in batches(list(map(len, ids)), 0, CPU_TOKENS):
            padded = self.tokenizer.pad({"input_ids": [ids[at] for at in batch]}, return_tensors="pt")
            with torch.inference_mode():
                self.net.model(**padded, use_cache=False)


def stream_peak(responses: int) -> float:
    """Peak memory (MB) of a process that streams so many responses to a file."""
    command = [sys.executable, __file__, "--stream", str(responses)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(printed.split()[-1])


def stream(responses: int) -> None:
    """What that process does: the same few answers, again and again."""
    with closing(Extractor(CONFIG)) as extractor, tempfile.TemporaryDirectory() as folder:
        chats = [(prompt, "It is 7, and that is all that I can say.") for prompt in asked(64)]
        many: Iterator[Chat] = (chats[at % len(chats)] for at in range(responses))
        shape = (responses, extractor.layers, extractor.width)
        save_stream(Path(folder) / "a.safetensors", shape, extractor.stream(many))
    # Of this process alone: getrusage would count what its parent held when it was started.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def live_share(extractor: Extractor, chats: Sequence[Chat]) -> float:
    """Share of a GRPO's CPU time that the look every 5 steps takes."""
    from rlpersona.axis.callback import AxisWatch
    from rlpersona.axis.probe import make_probe
    from rlpersona.config import GRPOConfig
    from rlpersona.tasks.suite import load_suite
    from rlpersona.training import LocalCheckpoints, Start
    from rlpersona.training.grpo import GRPOJob, train_grpo

    generator = np.random.default_rng(0)
    vectors = {name: generator.standard_normal((extractor.layers, extractor.width)) for name in "abc"}
    spent: list[float] = []

    class Timed(AxisWatch):
        """Notes the CPU time of everything that it does."""

        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            begun = time.thread_time()
            super().on_step_begin(*args, **kwargs)
            spent.append(time.thread_time() - begun)

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            begun = time.thread_time()
            super().on_step_end(*args, **kwargs)
            spent.append(time.thread_time() - begun)

        def _see(self, hidden: Any) -> None:
            begun = time.thread_time()
            super()._see(hidden)
            spent.append(time.thread_time() - begun)

    probe = make_probe(extractor, chats, vectors, extractor.layers // 2)
    config = GRPOConfig(recipe={"max_steps": 10}, readout={"held_out": 0})
    suite = load_suite(config.suite, 0)
    steps: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        job = GRPOJob(config, Start(CONFIG), suite.train, suite.held_out, Path(folder))
        train_grpo(
            job,
            LocalCheckpoints(Path(folder) / "checkpoints"),
            lambda _row: steps.append(time.thread_time()),
            [Timed(probe, every=5)],
        )
    # From the end of the first step to that of the last: 9 steps and 2 looks.
    return sum(spent) / (steps[-1] - steps[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--responses", type=int, default=768)
    parser.add_argument("--no-live", action="store_true", help="leave out the GRPO training")
    parser.add_argument("--stream", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        return stream(options.stream)
    bare = Bare()
    with closing(Extractor(CONFIG)) as extractor:
        chats, texts = answered(extractor, asked(options.responses))
        np.testing.assert_allclose(extractor.extract(chats), bare.loop(texts), atol=1e-4)
        ways: dict[str, tuple[Way, Sequence[Chat]]] = {
            "loop, batch 1, hooks": (bare.loop, texts),
            "bare forward, batched": (bare.batched, texts),
            "ours": (extractor.extract, chats),
        }
        seconds = {name: np.array(rounds) for name, rounds in cpu_seconds(ways).items()}
        live = None if options.no_live else live_share(extractor, chats)
    loop, bare_pass, ours = seconds.values()
    print(f"{len(chats)} responses, nano, {platform.machine()}, load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':26}{'responses/cpu-s':>16}{'x loop':>9}{'x bare':>9}")
    for name, rounds in seconds.items():
        ratios = f"{np.median(loop / rounds):9.1f}{np.median(bare_pass / rounds):9.2f}"
        print(f"{name:26}{len(chats) / np.median(rounds):16.0f}{ratios}")
    peaks = {count: stream_peak(count) for count in MEMORY}
    print("\npeak memory: " + ", ".join(f"{n:,} responses {mb:.0f} MB" for n, mb in peaks.items()))
    if live is not None:
        print(f"a live look every 5 steps: {live:.1%} of a GRPO step")
    low, high = peaks.values()
    faster = np.median(loop / ours) >= 5, np.median(bare_pass / ours) >= 0.85
    met = *faster, high <= 1.05 * low, live is None or live < 0.05
    print("bars (5x, 0.85, flat, 5 %): " + ", ".join("met" if ok else "MISSED" for ok in met))
    return None


if __name__ == "__main__":
    main()
