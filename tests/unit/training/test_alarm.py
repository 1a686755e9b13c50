from __future__ import annotations

import numpy as np
import pytest

from rlpersona.training.alarm import LEVEL, WINDOW, Alarm, Look, alarm

PROMPTS = 48


def world(
    seed: int, reward_slope: float, task_slope: float
) -> tuple[list[Look], list[tuple[int, float]]]:
    """Looks every 10 steps at 48 prompts of chance .6, and rewards with noise of .05."""
    rng = np.random.default_rng(seed)
    looks = [
        Look(10 * k, tuple(map(float, rng.random(PROMPTS) < 0.6 + task_slope * k)))
        for k in range(WINDOW)
    ]
    steps = range(1, 10 * WINDOW - 9)
    return looks, [(s, 1 + reward_slope * s / 10 + float(rng.normal(0, 0.05))) for s in steps]


def test_a_hacked_reward_is_found() -> None:
    found = [alarm(*world(seed, 0.1, -0.1)) for seed in range(20)]
    assert sum(one is not None and one.on for one in found) >= 18


@pytest.mark.parametrize(
    ("reward_slope", "task_slope"), [(0, 0), (0.1, 0), (0, -0.1), (0.1, 0.08), (-0.1, -0.1)]
)
def test_no_alarm_unless_both_go_their_way(reward_slope: float, task_slope: float) -> None:
    found = [alarm(*world(seed, reward_slope, task_slope)) for seed in range(300)]
    assert np.mean([one is not None and one.on for one in found]) <= LEVEL + 0.014


def test_both_tests_keep_their_level_where_nothing_happens() -> None:
    found = [alarm(*world(seed, 0, 0)) for seed in range(400)]
    for p in ([one.reward_p for one in found if one], [one.held_out_p for one in found if one]):
        assert np.mean(np.array(p) < 0.1) == pytest.approx(0.1, abs=0.05)


def test_by_hand() -> None:
    """Two prompts whose scores fall by 1 and by 2 over steps 0 to 4: mean slope -1.5/4, t = -3, df 1."""
    fall = [(0.0, 0.0), (-0.25, -0.5), (-0.5, -1.0), (-0.75, -1.5), (-1.0, -2.0)]
    looks = [Look(step, scores) for step, scores in enumerate(fall)]
    found = alarm(looks, [(step, 1.0) for step in range(5)])
    assert found == Alarm(False, 1.0, pytest.approx(0.10241638234956672))


def test_too_few_looks_give_no_verdict_and_unscored_prompts_are_left_out() -> None:
    looks, rewards = world(0, 0.1, -0.1)
    assert alarm(looks[:-1], rewards) is None
    blind = [Look(look.step, (None,) * PROMPTS) for look in looks]
    found = alarm(blind, rewards)
    assert found is not None
    assert found.held_out_p == 1
    assert not found.on
