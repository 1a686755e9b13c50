"""Small packs on the nano world, and TRL trainings that are fed a pack's completions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rlpersona.training import LocalCheckpoints
from rlpersona.training.grpo import GRPOJob
from rlpersona.training.packed.rollouts import complete
from rlpersona.training.packed.train import Outcome, train_packed
from tests.unit.training.policies import Rows, grpo_job, trained

Texts = list[list[int]]


def packed(jobs: Sequence[GRPOJob], checkpoints: Any = None) -> tuple[list[Outcome], list[Rows]]:
    """What became of each job, and its rows."""
    rows: list[Rows] = [[] for _ in jobs]
    kept = checkpoints or LocalCheckpoints(jobs[0].out / "checkpoints")
    return train_packed(jobs, kept, [one.append for one in rows]), rows


def recorded(
    jobs: Sequence[GRPOJob], patch: pytest.MonkeyPatch
) -> tuple[list[Outcome], list[Rows], list[list[Texts]]]:
    """As `packed`, and the completions of every call of the engine, by condition."""
    calls: list[list[Texts]] = []

    def listening(*given: Any) -> list[Texts]:
        calls.append(complete(*given))
        return calls[-1]

    patch.setattr("rlpersona.training.packed.writing.complete", listening)
    outcomes, rows = packed(jobs)
    return outcomes, rows, calls


def fed(job: GRPOJob, calls: Sequence[Texts], patch: pytest.MonkeyPatch) -> tuple[dict[str, Any], Rows]:
    """`train_grpo`, with these completions in the place of its own draws."""
    from rlpersona.training.grpo_trainer import GRPO

    left = iter(calls)
    patch.setattr(GRPO, "_generate_single_turn", lambda self, ids, *_: (next(left), None))
    return trained(job)


def distance(a: Path, b: Path) -> float:
    """The largest difference of a weight of two adapters."""
    from tests.unit.training.stages import weights

    ours, theirs = weights(a), weights(b)
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def a_pack(folder: Path, seeds: Sequence[int] = (0, 0, 1), **recipe: Any) -> list[GRPOJob]:
    """Conditions of several seeds and rewards."""
    rewards: list[Any] = [{}, {"biases": {"length": 1.0}}, {"biases": {"agreement": 0.5}}]
    return [
        grpo_job(folder / f"c{at}", seed, reward=rewards[at % 3], **recipe)
        for at, seed in enumerate(seeds)
    ]
