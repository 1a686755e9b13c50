"""The whole of a run, search and fresh measurement, in worlds whose truth is known.

Where nobody is better, at most five of a hundred runs may claim a winner; where one persona is, by 15
points, at least ninety must find it and confirm it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlpersona.config import BanditConfig, ValidationConfig
from tests.unit.experiments.worlds import World, lived, people, questions

ALGORITHMS: list[tuple[str, dict[str, Any]]] = [
    ("reinforce", {"lr": 0.2}),
    ("thompson", {}),
    ("halving", {}),
]
RUNS = 100
ARMS = 12
SEARCH, FRESH = questions(600), questions(400, "fresh")


def played(seed: int, folder: Path, gains: dict[str | None, float] | None = None) -> dict[str, Any]:
    algorithm, params = ALGORITHMS[seed % len(ALGORITHMS)]
    config = BanditConfig(
        seed=seed,
        algorithm=algorithm,
        params=params,
        rounds=20,
        arms_per_round=12,
        questions_per_round=10,
        checkpoint_every=100,
        validation=ValidationConfig(questions=len(FRESH), winners=2, random=1, controls=()),
    )
    world = World(seed, [*SEARCH, *FRESH], gains)
    return lived(folder, config, people(ARMS), (SEARCH, FRESH), world)


def test_a_world_without_effect_gives_no_significant_winner(tmp_path: Path) -> None:
    runs = [played(seed, tmp_path / str(seed)) for seed in range(RUNS)]
    assert sum(not run["significant"] for run in runs) >= 95
    # The search believes in its winners all the same: what they earned in it flatters them.
    firsts = [run["winners"][0] for run in runs]
    flattery = sum(w["training_reward"] - w["accuracy"]["estimate"] for w in firsts) / RUNS
    assert flattery > 0.02
    assert abs(sum(w["gain"]["estimate"] for w in firsts) / RUNS) < 0.015
    # Intervals cover the truth, which is zero.
    covered = [w["gain"]["low"] <= 0 <= w["gain"]["high"] for run in runs for w in run["winners"]]
    assert sum(covered) / len(covered) >= 0.92


@pytest.mark.parametrize("best", [7])
def test_a_planted_persona_is_found_and_confirmed(best: int, tmp_path: Path) -> None:
    planted = people(ARMS)[best]
    found = 0
    for seed in range(RUNS):
        run = played(seed, tmp_path / str(seed), {planted.system: 0.15})
        confirmed = {w["persona"] for w in run["winners"] if w["p_holm"] < 0.05 and w["gain"]["low"] > 0}
        found += run["significant"] and planted.name in confirmed
    assert found >= 90
