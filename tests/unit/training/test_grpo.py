from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import DataError, ModelError
from rlpersona.models.hf import HFModel
from rlpersona.training import LocalCheckpoints
from rlpersona.training.grpo import GRPOJob, train_grpo
from rlpersona.types import Prompt, Sampling
from tests.unit.training.policies import grpo_job, trained
from tests.unit.training.stages import Stopped, same_weights

TIMES = ("step_time",)


def untimed(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def test_conditions_of_a_seed_begin_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same adapter, same prompts, same completions in the first step, whatever is rewarded."""
    from rlpersona.rewards.reward import Reward

    asked: list[list[Any]] = []
    reward = Reward.__call__

    def listening(self: Reward, answers: Any, step: int = 0) -> Any:
        asked[-1].append([(answer.question.id, answer.text, answer.tokens) for answer in answers])
        return reward(self, answers, step)

    monkeypatch.setattr(Reward, "__call__", listening)
    found = {}
    for name, seed, weights, scaling in (
        ("none", 3, {}, "none"),
        ("much", 3, {"length": 1.0}, "none"),
        ("scaled", 3, {"agreement": 0.3}, "group"),
        ("other", 4, {}, "none"),
    ):
        asked.append([])
        job = grpo_job(
            tmp_path / name, seed, reward={"biases": weights}, scale_rewards=scaling, max_steps=1
        )
        found[name] = trained(job)[0]["adapter_init"]
    assert found["none"] == found["much"] == found["scaled"] != found["other"]
    assert [len(calls) for calls in asked] == [4, 4, 4, 4], "four groups of four completions"
    assert asked[0] == asked[1] == asked[2] != asked[3]
    assert not same_weights(tmp_path / "none/adapter", tmp_path / "much/adapter")


def test_looks_at_held_out_prompts_leave_the_training_as_it_is(tmp_path: Path) -> None:
    _, plain = trained(grpo_job(tmp_path / "plain", max_steps=2))
    _, watched = trained(
        grpo_job(tmp_path / "watched", max_steps=2, readout={"held_out": 6, "watch_every": 1})
    )
    assert [row["step"] for row in watched] == [0, 1, 2]
    assert watched[0]["held_out/kl"] == 0, "nothing has moved yet"
    assert watched[2]["held_out/kl"] > 0
    assert same_weights(tmp_path / "plain/adapter", tmp_path / "watched/adapter")
    seen = [{k: v for k, v in row.items() if "held_out" not in k} for row in untimed(watched[1:])]
    assert seen == untimed(plain)


@pytest.mark.parametrize(
    "settings",
    [
        {"lora": {"rank": 4, "dropout": 0.2}},
        {"full": True, "learning_rate": 5e-4, "micro_batch": 8, "beta": 0.05},
        {"num_iterations": 2, "schedule": "cosine"},
    ],
    ids=["dropout", "full-kl", "reused"],
)
def test_a_resumed_training_ends_in_the_same_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    """Eight steps over 40 prompts at 4 a step, and a checkpoint within: later prompts are other ones."""
    settings = {"max_steps": 8, "checkpoint_every": 4, **settings}
    looks = {"held_out": 4, "watch_every": 3, "every": 3}
    whole, broken = (grpo_job(tmp_path / n, readout=looks, **settings) for n in ("whole", "broken"))
    _, calm = trained(whole)
    with pytest.raises(InterruptedError):
        trained(broken, Stopped(broken.out / "checkpoints"))
    measures, rows = trained(broken)
    assert measures["resumed_at"] == 4
    assert untimed(rows) == untimed(calm)[5:], "step 0 and four steps were before"
    kind = "model" if settings.get("full") else "adapter"
    assert same_weights(whole.out / kind, broken.out / kind)
    for step in ("step-000003", "step-000006"):
        assert same_weights(whole.out / "steps" / step, broken.out / "steps" / step)
    assert sorted(path.name for path in (whole.out / "steps").iterdir()) == [
        "step-000003",
        "step-000006",
    ]


def test_kept_steps_and_the_result_answer_on_the_base(tmp_path: Path) -> None:
    job = grpo_job(tmp_path / "a", reward={"biases": {"length": 1.0}}, readout={"every": 2}, max_steps=4)
    trained(job)
    model = HFModel(ModelConfig(device="cpu"))
    prompts = [Prompt.ask(question.text) for question in job.held_out]
    texts = [
        [one.text for one in model.generate(prompts, Sampling(32), folder)]
        for folder in (None, str(job.out / "steps/step-000002"), str(job.out / "adapter"))
    ]
    assert texts[0] != texts[1] != texts[2]


def test_the_same_prompt_twice_in_a_step_makes_two_groups(tmp_path: Path) -> None:
    """Four prompts a step of which two are the same: a control within groups sees four answers."""
    job = grpo_job(
        tmp_path, reward={"biases": {"length": 1.0}, "control": "reward-matched"}, max_steps=1
    )
    job = GRPOJob(job.config, job.start, job.train[:2], (), job.out)
    _, rows = trained(job)
    assert rows[0]["unscored"] < 1


def test_a_prompt_on_both_sides_is_refused(tmp_path: Path) -> None:
    job = grpo_job(tmp_path)
    both = GRPOJob(job.config, job.start, job.train, job.train[:1], job.out)
    with pytest.raises(DataError, match="1 held-out prompts are trained on"):
        train_grpo(both, LocalCheckpoints(tmp_path / "c"))
    with pytest.raises(DataError, match="no prompt to train on"):
        train_grpo(GRPOJob(job.config, job.start, (), (), job.out), LocalCheckpoints(tmp_path / "c"))


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        ({"strategy": "fsdp"}, "strategy=fsdp shares weights between GPUs", "strategy=ddp"),
        ({"strategy": "zero2"}, "strategy=zero2 shares weights between GPUs", "strategy=ddp"),
        ({"workers": 2}, "workers=2, but 1 process", "experiments.dose.grpo"),
        (
            {"rollouts": "vllm", "vllm_mode": "server", "vllm_server": "http://127.0.0.1:8000"},
            "needs a GPU",
            "vllm_mode=colocate",
        ),
    ],
)
def test_what_needs_other_machines_is_refused_before_anything_is_loaded(
    settings: dict[str, Any], message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        trained(grpo_job(tmp_path, **settings))
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 18}, r"batch=18 is no multiple of workers x num_generations \(1 x 4\)"),
        ({"batch": 12, "workers": 2}, "a group stays on one worker"),
        ({"num_iterations": 3, "checkpoint_every": 50}, "completions are not kept in a checkpoint"),
        ({"vllm_mode": "server"}, "vllm_server=ADDRESS go together"),
    ],
)
def test_recipes_that_cannot_be_are_refused_at_once(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        grpo_job(tmp_path, **settings)
