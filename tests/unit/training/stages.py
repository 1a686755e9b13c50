"""Rows of the nano world, trainings that were stopped, and log-probabilities the plain way."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlpersona.config import ModelConfig
from rlpersona.config.training import DPORecipe, LoraConfig, SFTRecipe
from rlpersona.models.nano.world.items import items
from rlpersona.training import LocalCheckpoints, Start, TrainingJob

NANO = Start(ModelConfig(device="cpu"))
LORA = LoraConfig(rank=4, alpha=8)
CALM = "Studies show that it works, and the numbers agree."
LOUD = "Please, I beg you, think of the children!"
QUESTIONS = tuple(item.text for item in items("persuade")[:12])


def said(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def completions(path: Path, answer: str = CALM) -> Path:
    rows = [
        {
            "prompt": said("user", question),
            "completion": said("assistant", answer + " So it is." * (n % 3)),
        }
        for n, question in enumerate(QUESTIONS)
    ]
    return write_rows(path, rows)


def pairs(path: Path, chosen: str = CALM, rejected: str = LOUD) -> Path:
    rows = [
        {
            "prompt": said("user", question),
            "chosen": said("assistant", chosen + " So it is." * (n % 3)),
            "rejected": said("assistant", rejected),
        }
        for n, question in enumerate(QUESTIONS)
    ]
    return write_rows(path, rows)


def sft_job(folder: Path, start: Start = NANO, seed: int = 0, **recipe: Any) -> TrainingJob:
    settings = {"lora": LORA, "learning_rate": 2e-3, "batch": 4, "max_steps": 6} | recipe
    rows = completions(folder / "completions.jsonl")
    return TrainingJob("sft", start, SFTRecipe(**settings), rows, folder / "sft", seed)


def dpo_job(
    folder: Path, start: Start = NANO, reference: Start | None = None, stage: str = "dpo", **recipe: Any
) -> TrainingJob:
    settings = {"lora": LORA, "learning_rate": 2e-3, "batch": 4, "max_steps": 6} | recipe
    rows = pairs(folder / "pairs.jsonl")
    return TrainingJob(stage, start, DPORecipe(**settings), rows, folder / stage, 0, reference)


class Stopped(LocalCheckpoints):
    """Checkpoints of a training that is stopped after the first one."""

    def save(self, folder: Path, metrics: dict[str, float]) -> None:
        super().save(folder, metrics)
        raise InterruptedError


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = folder.glob("*.safetensors")
    return load_file(file)


def same_weights(a: Path, b: Path) -> bool:
    """Bit for bit."""
    import torch

    ours, theirs = weights(a), weights(b)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def plain_model(start: Start) -> Any:
    """The chain merged by hand: W + alpha / rank * B A, straight from the adapters' files."""
    import torch
    from transformers import AutoModelForCausalLM

    from rlpersona.models.locate import locate

    net = AutoModelForCausalLM.from_pretrained(locate(start.model.name), dtype=torch.float32).eval()
    for _, folder in start.adapters:
        config, deltas = json.loads((folder / "adapter_config.json").read_text()), weights(folder)
        for name in (name for name in deltas if name.endswith("lora_A.weight")):
            module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
            up = deltas[name.replace("lora_A", "lora_B")]
            with torch.no_grad():
                scale = config["lora_alpha"] / config["r"]
                net.get_submodule(module).weight += scale * up @ deltas[name]
    return net


def answer_logps(net: Any, prompt: str, answer: str) -> Any:
    """Log-probability of each token of an answer and its end, one row, by the chat template's text."""
    import torch
    from transformers import AutoTokenizer

    from rlpersona.models import nano

    tokenizer = AutoTokenizer.from_pretrained(nano.path())
    begun = tokenizer.apply_chat_template(
        said("user", prompt), tokenize=False, add_generation_prompt=True
    )
    whole = tokenizer.apply_chat_template(
        said("user", prompt) + said("assistant", answer), tokenize=False
    )
    start, ids = len(tokenizer(begun)["input_ids"]), tokenizer(whole)["input_ids"]
    with torch.no_grad():
        logps = net(torch.tensor([ids])).logits[0].log_softmax(-1)
    return torch.stack([logps[at - 1, ids[at]] for at in range(start, len(ids))])


def first_loss(train: Callable[..., Any], job: TrainingJob, folder: Path) -> float:
    """The loss that the training reports for its first update."""
    seen: list[dict[str, float]] = []
    train(job, LocalCheckpoints(folder), seen.append)
    assert seen[0]["step"] == 1
    return seen[0]["loss"]
