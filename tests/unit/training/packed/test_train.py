"""What a pack promises: nobody in it changes another's result, and a resumed one ends the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlpersona.errors import ConfigError, DataError, ModelError, RunError
from rlpersona.rewards.reward import Reward, make_reward
from rlpersona.training.checkpoints import LocalCheckpoints
from rlpersona.training.grpo import GRPOJob
from rlpersona.training.packed.train import train_packed
from rlpersona.training.packed.writing import StackWriter
from tests.unit.training.packed.packs import a_pack, distance, packed, recorded
from tests.unit.training.policies import Rows, grpo_job
from tests.unit.training.stages import Stopped, same_weights

LOOKS = {"held_out": 4, "watch_every": 2, "every": 2}


def untimed(rows: Rows) -> Rows:
    return [{key: value for key, value in row.items() if key != "step_time"} for row in rows]


def assert_same(rows: Rows, others: Rows) -> None:
    assert len(rows) == len(others)
    for row, other in zip(untimed(rows), untimed(others), strict=True):
        assert row == pytest.approx(other, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    "settings", [{"beta": 0.05}, {"lora": {"rank": 4, "dropout": 0.2}}], ids=["kl", "dropout"]
)
def test_a_condition_is_the_same_alone_and_among_others(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, completions and log: none of its numbers is computed with another's.

    Where this was measured they are the same bit for bit; another processor may round by the size of a
    batch, which Adam turns into more where a gradient is nearly 0.
    """
    settings = {"max_steps": 5, "readout": LOOKS, **settings}
    seeds = (0, 0, 1, 1, 2, 2) if "beta" in settings else (0, 0)
    together = a_pack(tmp_path / "six", seeds, **settings)
    outcomes, rows, calls = recorded(together, monkeypatch)
    assert all(isinstance(one, dict) for one in outcomes)
    for at in {1, len(seeds) - 1}:
        alone = a_pack(tmp_path / "alone", seeds, **settings)[at]
        _, (log,), own = recorded([alone], monkeypatch)
        assert [call[0] for call in own] == [call[at] for call in calls]
        for place in ("adapter", "steps/step-000002"):
            assert distance(together[at].out / place, alone.out / place) < 1e-5
        assert_same(rows[at], log)
    assert distance(together[0].out / "adapter", together[1].out / "adapter") > 1e-3


def test_conditions_of_a_seed_begin_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes, _, calls = recorded(a_pack(tmp_path, (3, 3, 4), max_steps=1), monkeypatch)
    first, second, third = (one["adapter_init"] for one in outcomes if isinstance(one, dict))
    assert first == second != third
    (texts,) = calls
    assert texts[0] == texts[1] != texts[2]


class Failing(Reward):
    """Fails, or pays without measure, from a step on."""

    kind = "raise"

    def __call__(self, answers: Any, step: int = 0) -> Any:
        parts = super().__call__(answers, step)
        if step < 1:
            return parts
        if self.kind == "raise":
            raise ZeroDivisionError("a bad day")
        parts.total[0] = 1e30
        return parts


@pytest.mark.parametrize(
    ("kind", "message"),
    [("raise", "ZeroDivisionError: a bad day"), ("lavish", "grad_norm is inf at step 2")],
)
def test_one_that_fails_is_parked_and_the_others_do_not_notice(
    kind: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"max_steps": 4, "checkpoint_every": 2, "readout": LOOKS}
    calm = a_pack(tmp_path / "calm", **settings)
    _, expected = packed(calm)

    def made(config: Any, *rest: Any) -> Reward:
        plain = make_reward(config, *rest)
        return (
            Failing(plain.config, plain.seed, plain.cap, plain.biases)
            if config.biases.get("length")
            else plain
        )

    monkeypatch.setattr(Failing, "kind", kind)
    monkeypatch.setattr("rlpersona.training.packed.member.make_reward", made)
    jobs = a_pack(tmp_path / "hurt", **settings)
    outcomes, rows = packed(jobs)
    assert isinstance(outcomes[1], RunError)
    assert message in str(outcomes[1])
    assert [row["step"] for row in rows[1]] == [0, 1]
    assert not (jobs[1].out / "adapter").exists()
    for at in (0, 2):
        assert isinstance(outcomes[at], dict)
        assert distance(jobs[at].out / "adapter", calm[at].out / "adapter") < 1e-5
        assert_same(rows[at], expected[at])


@pytest.mark.parametrize("kind", ["raise", "lavish"])
def test_a_pack_of_which_nothing_is_left_ends(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def made(config: Any, *rest: Any) -> Reward:
        plain = make_reward(config, *rest)
        return Failing(plain.config, plain.seed, plain.cap, plain.biases)

    monkeypatch.setattr(Failing, "kind", kind)
    monkeypatch.setattr("rlpersona.training.packed.member.make_reward", made)
    outcomes, rows = packed(a_pack(tmp_path, (0, 1), max_steps=3, readout=LOOKS))
    assert all(isinstance(one, RunError) for one in outcomes)
    assert [[row["step"] for row in log] for log in rows] == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    "settings",
    [{"schedule": "cosine", "lora": {"rank": 4, "dropout": 0.2}}, {"num_iterations": 2, "beta": 0.05}],
)
def test_a_resumed_pack_ends_in_the_same_weights(settings: dict[str, Any], tmp_path: Path) -> None:
    settings = {"max_steps": 7, "checkpoint_every": 4, "readout": LOOKS, **settings}
    whole, broken = (a_pack(tmp_path / name, (0, 1), **settings) for name in ("whole", "broken"))
    _, calm = packed(whole)
    with pytest.raises(InterruptedError):
        packed(broken, Stopped(tmp_path / "kept"))
    outcomes, rows = packed(broken, LocalCheckpoints(tmp_path / "kept"))
    for at in (0, 1):
        assert outcomes[at]["resumed_at"] == 4  # type: ignore[index]
        assert untimed(rows[at]) == untimed(calm[at])[5:], "step 0 and four steps were before"
        assert same_weights(whole[at].out / "adapter", broken[at].out / "adapter")
        assert same_weights(whole[at].out / "steps/step-000006", broken[at].out / "steps/step-000006")


def test_a_parked_condition_stays_parked_when_the_pack_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlpersona.training.packed.member import Member

    jobs = a_pack(tmp_path, (0, 1), max_steps=4, checkpoint_every=2)
    rewarded = Member.rewarded

    def failing(self: Member, answers: Any, step: int) -> Any:
        if self.index == 0 and step == 1:
            raise DataError("no such file", "Give one.")
        return rewarded(self, answers, step)

    monkeypatch.setattr(Member, "rewarded", failing)
    with pytest.raises(InterruptedError):
        packed(jobs, Stopped(tmp_path / "kept"))
    monkeypatch.setattr(Member, "rewarded", rewarded)
    outcomes, _ = packed(jobs, LocalCheckpoints(tmp_path / "kept"))
    assert isinstance(outcomes[0], RunError)
    assert (outcomes[0].message, outcomes[0].hint) == ("no such file", "Give one.")
    assert isinstance(outcomes[1], dict)


def test_the_log_is_json(tmp_path: Path) -> None:
    outcomes, rows = packed(a_pack(tmp_path, (0,), max_steps=1, readout=LOOKS))
    json.dumps([rows, outcomes], allow_nan=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"full": True}, "recipe.full=true"),
        ({"workers": 2}, "recipe.workers=2"),
        ({"strategy": "fsdp"}, "recipe.strategy=fsdp"),
        ({"quantize": "4bit"}, "recipe.quantize=4bit"),
        ({"readout": {"axis": "mine"}}, "readout.axis"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        packed([grpo_job(tmp_path, **settings)])


def test_an_engine_is_closed_where_a_training_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setattr(StackWriter, "close", lambda _: closed.append(True))
    with pytest.raises(InterruptedError):
        packed(a_pack(tmp_path, (0,), checkpoint_every=1), Stopped(tmp_path / "kept"))
    assert closed == [True]


def test_what_cannot_share_a_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="differ in more than"):
        packed([grpo_job(tmp_path / "a"), grpo_job(tmp_path / "b", learning_rate=1e-5)])
    one, other = (grpo_job(tmp_path / name, max_steps=None) for name in "ab")
    for changed in (
        {"train": other.train[:8]},  # fewer updates
        {"start": replace(other.start, adapters=(("sft", tmp_path),))},
    ):
        with pytest.raises(ConfigError, match="differ in more than"):
            packed([one, replace(other, **changed)])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="nothing to train"):
        train_packed([], LocalCheckpoints(tmp_path))
    job = grpo_job(tmp_path)
    with pytest.raises(DataError, match="1 held-out prompts are trained on"):
        packed([GRPOJob(job.config, job.start, job.train, job.train[:1], job.out)])


def test_a_target_that_is_no_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lora\.targets: 'no_such'"):
        packed([grpo_job(tmp_path, lora={"rank": 2, "targets": ("no_such",)})])
