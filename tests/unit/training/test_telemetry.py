from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.training.telemetry import Rollout, step_measures
from tests.unit.training.policies import grpo_job

BIAS = (0.2, 0.4, 0.6, 0.8)


def rollouts(
    task: Sequence[float | None],
    bias: Sequence[float],
    weight: float,
    domains: Sequence[str] = ("math",),
) -> list[Rollout]:
    size = len(task) // len(domains)
    return [
        Rollout(
            domains[i // size],
            t,
            0.0 if t is None else weight * b,
            None if t is None else t + weight * b,
            {"length": b},
            10 + i,
            i % 2 == 0,
        )
        for i, (t, b) in enumerate(zip(task, bias, strict=True))
    ]


def centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def test_the_shares_by_hand() -> None:
    """Task (0, 0, 1, 1), bias (0, 1, 0, 1), weight 1/2, no scaling: A = (-3, -1, 1, 3) / 4."""
    made = rollouts((0, 0, 1, 1), (0, 1, 0, 1), 0.5)
    advantages = (-0.75, -0.25, 0.25, 0.75)
    found = step_measures(made, advantages, 4)
    # sum A d(c) = (3 - 1 - 1 + 3) / 16 = 1/4; sum A^2 = 20/16
    assert found["effective_dose"] == pytest.approx(0.2)
    assert found["bias_push"] == pytest.approx(0.25)
    assert found["dose_sd"] == pytest.approx(0.5)
    assert found["task"] == 0.5
    assert found["total"] == 0.75
    assert found["bias/length"] == 0.5
    assert found["tied_groups"] == 0
    assert found["length"] == 11.5
    assert found["stop_rate"] == 0.5
    assert {key: found[f"math/{key}"] for key in found if not key.startswith("math/")} == {
        key: value for key, value in found.items() if not key.startswith("math/")
    }


def test_domains_are_told_apart_and_unscored_answers_left_out() -> None:
    task = (0, 1, None, 1, None, None, None, None)
    made = rollouts(task, (0.5,) * 8, 1.0, ("math", "advice"))
    found = step_measures(made, (-2 / 3, 1 / 3, 0, 1 / 3, 0, 0, 0, 0), 4)
    assert found["math/task"] == pytest.approx(2 / 3)
    assert found["math/unscored"] == 0.25
    assert found["advice/unscored"] == 1
    assert "advice/task" not in found
    assert found["math/effective_dose"] == pytest.approx(0)
    assert found["unscored"] == pytest.approx(5 / 8)
    assert found["tied_groups"] == 0, "a group without a score is neither tied nor not"


def test_what_cannot_be_said_is_left_out() -> None:
    found = step_measures(rollouts((1, 1), (0.5, 0.5), 1.0), (0, 0), 2)
    assert "effective_dose" not in found, "no advantage at all"
    assert "dose_sd" not in found, "no task score differs"
    assert found["tied_groups"] == 1


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=4, max_size=4), st.floats(0, 3))
def test_bias_and_task_explain_the_whole_advantage(
    scores: list[tuple[float, float]], weight: float
) -> None:
    task, bias = zip(*scores, strict=True)
    made = rollouts(task, bias, weight)
    total = [rollout.total or 0.0 for rollout in made]
    advantages = [2.5 * value for value in centred(total)]  # any scale
    found = step_measures(made, advantages, 4)
    power = sum(a * a for a in advantages)
    if power < 1e-9:
        return
    own = sum(a * 2.5 * t for a, t in zip(advantages, centred(task), strict=True)) / power
    assert found["effective_dose"] == pytest.approx(1 - own, abs=1e-6)
    assert all(math.isfinite(value) for value in found.values())


def advantages_of_trl(
    scaling: str, weight: float, task: Sequence[float], tmp_path: Path
) -> tuple[list[float], dict[str, float]]:
    """TRL's own advantages of one group whose tasks and biases are given, and our measures of them."""
    import torch
    from datasets import Dataset
    from trl import GRPOConfig

    from rlpersona.rewards import Parts
    from rlpersona.training.grpo_trainer import GRPO
    from rlpersona.training.start import load_start
    from rlpersona.training.watch import Watch

    def reward(answers: Any, step: int = 0) -> Parts:
        added = [weight * b for b in BIAS]
        total = [t + e for t, e in zip(task, added, strict=True)]
        return Parts(list(task), {"length": list(BIAS)}, total, [None] * 4, {}, added)  # type: ignore[arg-type]

    job = grpo_job(tmp_path)
    model, tokenizer = load_start(job.start)
    arguments = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=4,
        scale_rewards=scaling,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
    )
    question = job.train[0]
    trainer = GRPO(
        questions=[question],
        reward=reward,  # type: ignore[arg-type]
        watch=Watch((), reward, 1, 0, None),  # type: ignore[arg-type]
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": "unused", "question": 0}]),
        processing_class=tokenizer,
    )
    row = {"prompt": [{"role": "user", "content": question.text}], "question": 0}
    with torch.no_grad():
        output = trainer._generate_and_score_completions([row] * 4)
    found = {key: values[-1] for key, values in trainer._metrics["train"].items()}
    return output["advantages"].tolist(), found


def test_the_dose_divides_out_of_tied_groups_where_rewards_are_scaled(tmp_path: Path) -> None:
    """The trap: task scores tie, the bias alone differs, and bias_weight goes from .1 to 1."""
    tied = (1.0, 1.0, 1.0, 1.0)
    grouped = {w: advantages_of_trl("group", w, tied, tmp_path) for w in (0.1, 1.0)}
    plain = {w: advantages_of_trl("none", w, tied, tmp_path) for w in (0.1, 1.0)}

    for low, high in zip(grouped[0.1][0], grouped[1.0][0], strict=True):
        assert high == pytest.approx(low, rel=0.01), "ten times the dose, the same advantage"
    for low, high in zip(plain[0.1][0], plain[1.0][0], strict=True):
        assert high == pytest.approx(10 * low, rel=1e-4)

    # The telemetry shows it: the push is that of the advantages, whatever the weight.
    assert grouped[1.0][1]["bias_push"] == pytest.approx(grouped[0.1][1]["bias_push"], rel=0.01)
    assert plain[1.0][1]["bias_push"] == pytest.approx(10 * plain[0.1][1]["bias_push"], rel=1e-4)
    assert plain[0.1][1]["bias_push"] == pytest.approx(0.1 * math.sqrt(0.05), rel=1e-4)
    for _, found in (*grouped.values(), *plain.values()):
        assert found["tied_groups"] == 1
        assert found["effective_dose"] == pytest.approx(1)


@pytest.mark.parametrize("scaling", ["group", "none"])
def test_the_dose_stays_where_task_scores_differ(scaling: str, tmp_path: Path) -> None:
    """By hand, weight 1: sum d(t) d(c) = .2, sum d(c)^2 = .2, sum d(t)^2 = 1: (.2 + .2) / 1.6."""
    mixed = (0.0, 1.0, 0.0, 1.0)
    for weight, expected in ((0.1, 0.022 / 1.042), (1.0, 0.25)):
        found = advantages_of_trl(scaling, weight, mixed, tmp_path)[1]
        assert found["effective_dose"] == pytest.approx(expected, rel=1e-4)
        assert found["dose_sd"] == pytest.approx(weight * math.sqrt(0.2), rel=1e-4)
