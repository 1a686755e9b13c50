"""Questions a second: our replicas beside a batch-1 loop and beside the bare engines.

    python benchmarks/scoring.py [--personas 64] [--questions 32] [--engines hf vllm] [--replicas 2]

Every persona is asked every question of the nano world, each with four choices whose log-likelihoods
are wanted. All ways start from the same chats: template and tokenisation count, loading and a first
run do not. The loops see a sample, since they are slow. Best of three runs. On a busy machine trust
the figures per CPU-second (driver and replicas together) rather than those per second.
Bars, by CPU time: ours >= 10x the loop over choices, >= 0.9 of the bare engine.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from rlpersona.config import ModelConfig
from rlpersona.models import load_model, nano
from rlpersona.models.vllm import VLLMModel
from rlpersona.runtime.model import PooledModel
from rlpersona.runtime.session import ray_session
from rlpersona.tasks import nano as nano_tasks
from rlpersona.types import Model, Prompt

RUNS = 3
LOOP_SAMPLE = 80
BATCH = 256

Pair = tuple[Prompt, tuple[str, ...]]
Way = Callable[[Sequence[Pair]], list[Any]]


@dataclass
class Figure:
    """Questions per second of wall time, and of CPU time of all processes together."""

    name: str
    per_second: float
    per_cpu_second: float


def grid(personas: int, questions: int, question_first: bool = False) -> list[Pair]:
    """Persona in the system prompt; question first: after the question, in the user turn."""
    people = [person.system for person in nano.bystanders(personas)]
    asked = [q for q in nano_tasks.questions(per_domain=questions) if len(q.choices) == 4][:questions]
    if question_first:
        return [(Prompt.ask(f"{q.text} {who}", None, q.cue), q.choices) for q in asked for who in people]
    return [(Prompt.ask(q.text, who, q.cue), q.choices) for who in people for q in asked]


def measure(name: str, way: Way, pairs: Sequence[Pair], pids: Callable[[], list[int]] = list) -> Figure:
    """The best of `RUNS` runs; `pids` are processes whose CPU time counts beside this one's."""
    import psutil

    def cpu() -> float:
        each = (psutil.Process(pid).cpu_times() for pid in (os.getpid(), *pids()))
        return float(sum(times.user + times.system for times in each))

    way(pairs[: 2 * BATCH])
    walls, cpus = [], []
    for _ in range(RUNS):
        wall, busy = time.perf_counter(), cpu()
        assert len(way(pairs)) == len(pairs)
        walls.append(time.perf_counter() - wall)
        cpus.append(cpu() - busy)
    return Figure(name, len(pairs) / min(walls), len(pairs) / min(cpus))


class Bare:
    """transformers called directly, as a script would."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(nano.path(), padding_side="left")
        self.net = AutoModelForCausalLM.from_pretrained(nano.path(), dtype=torch.float32).eval()
        self.known: dict[tuple[str, ...], list[int]] = {}

    def text(self, prompt: Prompt) -> str:
        """The chat with generation prompt and cue."""
        turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
        chat = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(chat) + prompt.cue

    def first_tokens(self, choices: tuple[str, ...]) -> list[int]:
        """What scores a choice of one token, as all of these are."""
        if choices not in self.known:
            self.known[choices] = [
                self.tokenizer(f" {c}", add_special_tokens=False)["input_ids"][0] for c in choices
            ]
        return self.known[choices]

    def generate_loop(self, pairs: Sequence[Pair]) -> list[Any]:
        """One prompt at a time, one new token."""
        out = []
        for prompt, _ in pairs:
            batch = self.tokenizer(self.text(prompt), return_tensors="pt", add_special_tokens=False)
            out.append(
                self.net.generate(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    max_new_tokens=1,
                    do_sample=False,
                )
            )
        return out

    def choice_loop(self, pairs: Sequence[Pair]) -> list[Any]:
        """One choice at a time, a whole forward pass each."""
        import torch

        out = []
        for prompt, choices in pairs:
            context = self.text(prompt)
            start = len(self.tokenizer(context, add_special_tokens=False)["input_ids"])
            for choice in choices:
                whole = self.tokenizer(f"{context} {choice}", add_special_tokens=False)["input_ids"]
                with torch.no_grad():
                    logprobs = self.net(torch.tensor([whole])).logits[0].log_softmax(-1)
                out.append(sum(float(logprobs[at - 1, whole[at]]) for at in range(start, len(whole))))
        return out[:: len(pairs[0][1])]

    def batched(self, pairs: Sequence[Pair]) -> list[Any]:
        """Padded batches, the first tokens of the choices read off the last logits."""
        import torch

        out: list[Any] = []
        for at in range(0, len(pairs), BATCH):
            part = pairs[at : at + BATCH]
            batch = self.tokenizer(
                [self.text(prompt) for prompt, _ in part],
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            )
            with torch.inference_mode():
                logits = self.net(
                    input_ids=batch["input_ids"],
                    attention_mask=batch["attention_mask"],
                    logits_to_keep=1,
                ).logits
            wanted = torch.tensor([self.first_tokens(choices) for _, choices in part])
            out += logits[:, -1].log_softmax(-1).gather(1, wanted).tolist()
        return out

    def vllm(self, engine: VLLMModel) -> Way:
        """`LLM.generate` on texts, the wanted tokens' logprobs asked of it."""
        from vllm import SamplingParams

        def way(pairs: Sequence[Pair]) -> list[Any]:
            params = [
                SamplingParams(max_tokens=1, temperature=0, logprob_token_ids=self.first_tokens(choices))
                for _, choices in pairs
            ]
            texts = [self.text(prompt) for prompt, _ in pairs]
            return list(engine.llm.generate(texts, params, use_tqdm=False))

        return way


def ours(model: Model) -> Way:
    return lambda pairs: model.score_choices([p for p, _ in pairs], [c for _, c in pairs])


@contextmanager
def pooled(engine: str, replicas: int) -> Iterator[PooledModel]:
    config = ModelConfig(engine=engine, replicas=replicas)  # type: ignore[arg-type]
    with closing(PooledModel(config)) as model:
        yield model


def engine_figures(engine: str, bare: Bare, pairs: Sequence[Pair], replicas: int) -> list[Figure]:
    """The bare engine, then ours in one replica and in several."""
    if engine == "hf":
        figures = [measure("bare transformers, batched", bare.batched, pairs)]
    else:
        with closing(load_model(ModelConfig(engine="vllm"))) as model:
            assert isinstance(model, VLLMModel)
            figures = [measure("bare vLLM, LLM.generate", bare.vllm(model), pairs)]
    for count in sorted({1, replicas}):
        with pooled(engine, count) as model:
            name = f"ours, {engine}, {count} replica{'s' * (count > 1)}"
            figures.append(measure(name, ours(model), pairs, model.pool.pids))
    return figures


def table(loops: list[Figure], engines: dict[str, list[Figure]]) -> str:
    """Lines with the ratios to the loop over choices and to the bare engine."""
    base = loops[-1]
    head = f"{'':34}{'q/s':>9}{'q/cpu-s':>9}{'x loop':>9}{'x bare':>9}{'x bare, wall':>14}"
    lines = [head, "-" * len(head)]
    for figures in (loops, *engines.values()):
        for figure in figures:
            line = f"{figure.name:34}{figure.per_second:9.0f}{figure.per_cpu_second:9.0f}"
            line += f"{figure.per_cpu_second / base.per_cpu_second:9.1f}"
            if figures is not loops:
                line += f"{figure.per_cpu_second / figures[0].per_cpu_second:9.2f}"
                line += f"{figure.per_second / figures[0].per_second:14.2f}"
            lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--personas", type=int, default=64)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--engines", nargs="+", choices=("hf", "vllm"), default=["hf", "vllm"])
    parser.add_argument("--replicas", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    pairs = grid(options.personas, options.questions)
    first = grid(options.personas, options.questions, question_first=True)
    bare = Bare()
    loops = [
        measure("loop, generate one token", bare.generate_loop, pairs[:LOOP_SAMPLE]),
        measure("loop, a forward pass a choice", bare.choice_loop, pairs[:LOOP_SAMPLE]),
    ]
    with ray_session():
        engines = {name: engine_figures(name, bare, pairs, options.replicas) for name in options.engines}
        for name, figures in engines.items():
            with pooled(name, 1) as model:
                label = f"ours, {name}, 1, question first"
                figures.append(measure(label, ours(model), first, model.pool.pids))
    print(f"{len(pairs)} questions with 4 choices, nano, {platform.machine()}, {os.cpu_count()} cores,")
    print(f"load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}\n")
    print(table(loops, engines))


if __name__ == "__main__":
    main()
