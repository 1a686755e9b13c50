"""Presets of axis runs."""

from __future__ import annotations

from collections.abc import Callable

from rlpersona.config import AxisConfig, JudgeConfig, ModelConfig


def nano() -> AxisConfig:
    """The people of the nano world, two wordings each, 68 questions of all domains, rated by rules.

    Expected: the axis separates the assistant from 42 roles at every layer, strangers stand where the
    assistant does, the nearest principal component is the second; a minute or two on two cores, free.
    The run is called `axis`, where `rlpersona axis drift` looks for it.
    """
    return AxisConfig(name="axis", question_limit=68, prompts_per_role=2)


def assistant_axis() -> AxisConfig:
    """275 public roles and the default, 5 system prompts and 239 questions each, with a 7B model.

    Unpack the public roles (github safety-research/assistant-axis, `data/roles/instructions`) and name
    them: `roles=FOLDER questions=extraction_questions.jsonl judge.model=...`. Not measured here: some
    330,000 responses and as many calls of the judge (near $100 at $0.40 a million tokens), and 0.4 MB of
    activations a response, 132 GB in all; `question_limit=40` is a sixth of each.
    """
    return AxisConfig(
        name="assistant-axis",
        model=ModelConfig(
            name="Qwen/Qwen2.5-7B-Instruct", engine="vllm", gpus_per_replica=1, window=4096
        ),
        roles="assistant-axis/roles/instructions",
        questions="assistant-axis/extraction_questions.jsonl",
        traits="none",
        max_tokens=512,
        judge=JudgeConfig(by="openai", model="gpt-4.1-mini"),
    )


AXIS: dict[str, Callable[[], AxisConfig]] = {"nano": nano, "assistant-axis": assistant_axis}
