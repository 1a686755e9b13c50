"""What a sweep takes on GPUs, by arithmetic: nothing here is measured, every assumption is printed.

Floating point operations are 2 per weight and token for a forward pass (Kaplan et al. 2020,
arXiv:2001.08361, section 2.1). Writing a token reads every weight once for all completions under way,
and their keys and values: where few are under way it is bound by memory, not by arithmetic.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlpersona.config import SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.dose.conditions import cells, conditions
from rlpersona.models.locate import locate
from rlpersona.report.words import duration, several

PROMPT = 200  # tokens of a prompt, the chat template included
FILLED = 0.6  # mean length of a completion, as a share of its cap
ARITHMETIC, BANDWIDTH = 0.35, 0.6  # shares of a GPU's peak that are reached
BESIDES = 1.5  # seconds of an update: scoring, the adapter's way to vLLM, logging
START = 300  # seconds of a training: loading weights twice, building the engine
AT_ONCE = 256  # completions that vLLM writes at a time in a readout


@dataclass(frozen=True)
class Gpu:
    """A GPU by its data sheet: dense bfloat16 TFLOP/s, TB/s, GB; and an assumed price in $ an hour."""

    tflops: float
    bandwidth: float
    memory: float
    price: float


GPUS = {
    "l40s": Gpu(362, 0.864, 48, 1.5),
    "a100": Gpu(312, 2.04, 80, 2.0),
    "h100": Gpu(989, 3.35, 80, 3.0),
    "h200": Gpu(989, 4.8, 141, 4.0),
}
# From its config.json, for a plan without network.
QWEN_7B = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}


@dataclass(frozen=True)
class Shape:
    """A decoder's sizes. `weights` and `linear` count all weights and those of its linear layers."""

    layers: int
    hidden: int
    inner: int
    queries: int  # width of queries over all heads
    values: int  # width of keys, and of values, over all heads
    vocabulary: int
    tied: bool

    @property
    def linear(self) -> int:  # noqa: D102
        attention = 2 * self.hidden * (self.queries + self.values)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    @property
    def weights(self) -> int:  # noqa: D102
        return self.linear + self.vocabulary * self.hidden * (1 if self.tied else 2)

    def adapter(self, rank: int) -> int:
        """Weights of a LoRA adapter on all linear layers."""
        attention = 2 * (2 * self.hidden + self.queries + self.values)
        return self.layers * rank * (attention + 3 * (self.hidden + self.inner))


@dataclass(frozen=True)
class Cost:
    """Seconds of an update and of a training, GB of a GPU's memory by part, GPUs -> (hours, dollars)."""

    cells: int
    trainings: int
    steps: int
    shape: Shape
    gpu: Gpu
    writing: float
    learning: float
    training: float
    memory: dict[str, float]
    engine_needs: float
    clusters: dict[int, tuple[float, float]]

    @property
    def update(self) -> float:  # noqa: D102
        return self.writing + self.learning + BESIDES


def cost_of(
    config: SweepConfig, gpu: str, counts: Sequence[int] = (1, 4, 8), price: float | None = None
) -> Cost:
    """The cost of a sweep whose trainings have a GPU each; no data is loaded.

    Raises:
        ConfigError: an unknown GPU, a recipe of several workers or without `max_steps`, or a model whose
            config.json is not at hand.
    """
    if gpu not in GPUS:
        raise ConfigError(f"GPU '{gpu}' is not known.", f"Known: {', '.join(GPUS)}.")
    recipe, card, shape = config.recipe, GPUS[gpu], shape_of(config.model.name)
    if recipe.max_steps is None or recipe.workers != 1:
        raise ConfigError(
            "The arithmetic is of trainings with recipe.max_steps on one GPU each.",
            "Give recipe.max_steps and recipe.workers=1.",
        )
    writing = write_seconds(shape, card, recipe.batch, recipe.max_completion) / recipe.num_iterations
    learning = learn_seconds(config, shape, card)
    looks = 1 + math.ceil(recipe.max_steps / config.readout.watch_every)  # one before any update
    reads = math.ceil(recipe.max_steps / config.readout.every) if config.readout.every else 1
    asked = config.suite.evaluation * config.readout.samples
    training = (
        START
        + recipe.max_steps * (writing + learning + BESIDES)
        + looks * write_seconds(shape, card, config.readout.held_out, recipe.max_completion)
        + reads * readout_seconds(shape, card, asked, config.readout.max_tokens)
    )
    trainings = len(conditions(config))
    hours = {count: math.ceil(trainings / count) * training / 3600 for count in counts}
    dollars = card.price if price is None else price
    return Cost(
        cells=len(cells(config)),
        trainings=trainings,
        steps=recipe.max_steps,
        shape=shape,
        gpu=Gpu(card.tflops, card.bandwidth, card.memory, dollars),
        writing=writing,
        learning=learning,
        training=training,
        memory=memory_of(config, shape, card),
        engine_needs=engine_gb(config, shape),
        clusters={count: (time, time * count * dollars) for count, time in hours.items()},
    )


def shape_of(name: str) -> Shape:
    """The sizes of a model, from the config.json in its folder; of Qwen2.5-7B without it.

    Raises:
        ConfigError: the model is not in a folder, or its config.json does not say them.
    """
    file = Path(locate(name)) / "config.json"
    if file.is_file():
        said = json.loads(file.read_text(encoding="utf-8"))
    elif name.startswith("Qwen/Qwen2.5-7B"):
        said = QWEN_7B
    else:
        raise ConfigError(f"The sizes of '{name}' are not at hand.", "Give its folder: model=FOLDER")
    try:
        heads = said["num_attention_heads"]
        head = said.get("head_dim") or said["hidden_size"] // heads
        return Shape(
            layers=said["num_hidden_layers"],
            hidden=said["hidden_size"],
            inner=said["intermediate_size"],
            queries=head * heads,
            values=head * (said.get("num_key_value_heads") or heads),
            vocabulary=said["vocab_size"],
            tied=bool(said.get("tie_word_embeddings", False)),
        )
    except KeyError as error:
        raise ConfigError(
            f"config.json of '{name}' does not say {error}",
            "The arithmetic is of Llama's kind of decoder; --measure times a step here.",
        ) from error


def write_seconds(shape: Shape, gpu: Gpu, rows: int, cap: int) -> float:
    """Seconds to write `rows` completions together: as many steps as the longest has tokens."""
    if rows == 0:
        return 0.0
    mean = FILLED * cap
    weights = cap * 2 * shape.weights  # bytes
    kept = rows * mean * (PROMPT + mean / 2) * _kept_bytes(shape)
    by_memory = (weights + kept) / (gpu.bandwidth * 1e12 * BANDWIDTH)
    by_arithmetic = 2 * shape.weights * rows * (PROMPT + mean) / (gpu.tflops * 1e12 * ARITHMETIC)
    return max(by_memory, by_arithmetic)


def readout_seconds(shape: Shape, gpu: Gpu, rows: int, cap: int) -> float:
    """Seconds to write `rows` completions, `AT_ONCE` at a time."""
    return math.ceil(rows / AT_ONCE) * write_seconds(shape, gpu, min(rows, AT_ONCE), cap)


def learn_seconds(config: SweepConfig, shape: Shape, gpu: Gpu) -> float:
    """Seconds of one update on a batch of completions.

    Passes over every token, each of 2 operations a weight: forward, backward to the activations, and
    the forward again that saves memory; backward to the weights where all are trained; and once a
    batch the log-probabilities of the policy that wrote, and those of the start, for the KL penalty.
    """
    recipe = config.recipe
    passes = 3 + recipe.full + (1 + (recipe.beta > 0)) / recipe.num_iterations
    tokens = recipe.batch * (PROMPT + FILLED * recipe.max_completion)
    return passes * 2 * shape.weights * tokens / (gpu.tflops * 1e12 * ARITHMETIC)


def memory_of(config: SweepConfig, shape: Shape, gpu: Gpu) -> dict[str, float]:
    """GB of one training on one GPU, by part."""
    recipe = config.recipe
    rows = (recipe.micro_batch or recipe.batch) * (PROMPT + recipe.max_completion)
    trained = shape.weights if recipe.full else shape.adapter(recipe.lora.rank)
    found: dict[str, float] = {
        "weights": 2 * shape.weights,
        "trained weights, gradients, Adam": 16 * trained,  # float32 each: 4 + 4 + 8 bytes
        "activations": 2 * shape.layers * rows * shape.hidden,  # one a layer; the rest is computed again
        "logits": 8 * (rows - PROMPT) * shape.vocabulary,  # and their gradient
    }
    if recipe.rollouts == "vllm":
        found["vLLM"] = recipe.vllm_gpu_memory * gpu.memory * 1e9
    return {part: size / 1e9 for part, size in found.items()}


def engine_gb(config: SweepConfig, shape: Shape) -> float:
    """GB that vLLM needs beside the training: its copy of the weights, keys and values of a batch."""
    recipe = config.recipe
    if recipe.rollouts != "vllm":
        return 0.0
    kept = recipe.batch * (PROMPT + FILLED * recipe.max_completion) * _kept_bytes(shape)
    return (2 * shape.weights + kept) / 1e9


def cost_lines(cost: Cost, name: str) -> list[str]:
    """The cost in plain words, assumptions first."""
    gpu, parts = cost.gpu, cost.memory
    total, room = sum(parts.values()), parts.get("vLLM", 0.0)
    lines = [
        f"{several(cost.cells, 'cell')}, {several(cost.trainings, 'distinct training')} of"
        f" {several(cost.steps, 'update')}; {name}, {cost.shape.weights / 1e9:.3g} billion weights",
        "By arithmetic; nothing here is measured. Assumed:"
        f" {gpu.tflops:.0f} TFLOP/s at {ARITHMETIC:.0%}, {gpu.bandwidth:g} TB/s at {BANDWIDTH:.0%},"
        f" ${gpu.price:.2f} a GPU-hour; prompts of {PROMPT} tokens, completions that fill {FILLED:.0%}"
        " of their cap",
        f"An update: {cost.update:.0f} s, of which {cost.writing:.1f} to write and"
        f" {cost.learning:.1f} to learn; a training with its readouts: {duration(cost.training)}",
        f"Memory: {total:.0f} of {gpu.memory:g} GB ("
        + ", ".join(f"{part} {size:.1f}" for part, size in parts.items())
        + ")",
    ]
    if total > gpu.memory:
        lines.append("It does not fit: lower recipe.micro_batch, or take recipe.quantize=4bit")
    if room < cost.engine_needs:
        lines.append(
            f"vLLM needs {cost.engine_needs:.0f} GB and has {room:.0f}: raise recipe.vllm_gpu_memory"
        )
    lines += [
        f"{several(count, 'GPU'):>7}: {duration(3600 * hours)}, ${dollars:,.0f}"
        for count, (hours, dollars) in cost.clusters.items()
    ]
    lines.append(
        f"The limit: {duration(cost.training)}, one training, from {several(cost.trainings, 'GPU')} on"
    )
    return lines


def _kept_bytes(shape: Shape) -> int:
    """Bytes of keys and values that a token leaves."""
    return 2 * 2 * shape.layers * shape.values
