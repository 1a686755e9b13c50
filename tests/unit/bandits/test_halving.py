from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.bandits.halving import SequentialHalving, bracket
from rlpersona.errors import DataError


def run(bandit: SequentialHalving, rewards: np.ndarray, k: int = 1000) -> list[tuple[int, int]]:
    """Play to the end with reward = the arm's entry; returns (block, arms selected) per selection."""
    taken = []
    while not bandit.finished:
        arms = bandit.select(k)
        taken.append((bandit.block, len(arms)))
        repeated = np.repeat(arms, bandit.questions)
        bandit.update(repeated, rewards[repeated])
    return taken


def test_schedule_by_hand_for_eight_arms() -> None:
    # 3 stages of 16: 2 passes over 8, 4 over 4, 8 over 2.
    bandit = SequentialHalving(8, budget=48)
    sizes = [size for _, size in run(bandit, np.linspace(0, 1, 8))]
    assert sizes == [8] * 2 + [4] * 4 + [2] * 8
    assert bandit.counts.tolist() == [2, 2, 2, 2, 6, 6, 14, 14]
    assert bandit.ranking(8).tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert bandit.probabilities().tolist() == [0] * 7 + [1]
    assert bandit.select(3).tolist() == []


def test_what_a_stage_cannot_spend_goes_to_later_ones() -> None:
    # 50: shares 16 -> 2 passes of 8; 34 / 2 = 17 -> 4 of 4; the last 18 -> 9 of 2.
    sizes = [size for _, size in run(SequentialHalving(8, budget=50), np.linspace(0, 1, 8))]
    assert sizes == [8] * 2 + [4] * 4 + [2] * 9


def test_questions_scale_the_schedule() -> None:
    bandit = SequentialHalving(8, budget=480, questions=10)
    assert [size for _, size in run(bandit, np.linspace(0, 1, 8))] == [8] * 2 + [4] * 4 + [2] * 8
    assert bandit.spent == 480


def test_odd_numbers_keep_the_larger_half() -> None:
    bandit = SequentialHalving(5, budget=30)  # 3 stages of 10: 2 x 5, 3 x 3, then 11 left: 5 x 2
    assert [size for _, size in run(bandit, np.linspace(0, 1, 5))] == [5] * 2 + [3] * 3 + [2] * 5


def test_a_block_is_one_pass_however_it_is_cut() -> None:
    bandit = SequentialHalving(6, budget=36)
    seen: dict[int, list[int]] = {}
    while not bandit.finished:
        arms = bandit.select(4)
        seen.setdefault(bandit.block, []).extend(arms.tolist())
        bandit.update(arms, arms / 10)
    assert list(seen) == list(range(len(seen)))
    assert all(len(set(arms)) == len(arms) for arms in seen.values())
    assert [len(arms) for arms in seen.values()] == [6] * 2 + [3] * 4 + [2] * 6


def test_passes_of_a_stage_are_handed_out_ahead_and_its_end_waits() -> None:
    bandit = SequentialHalving(4, budget=16)
    ahead = [bandit.select(4) for _ in range(3)]
    assert [len(arms) for arms in ahead] == [4, 4, 0]
    bandit.update(ahead[1], [1, 1, 0, 0])
    assert bandit.select(4).tolist() == []
    bandit.update(ahead[0], [1, 0, 0, 0])
    assert sorted(bandit.select(4)) == [0, 1]


def test_failed_evaluations_rank_last_and_empty_updates_move_on() -> None:
    bandit = SequentialHalving(4, budget=8)
    bandit.select(4)
    bandit.update([0, 2], [0.0, 0.0])
    assert sorted(bandit.select(4)) == [0, 2]
    bandit.update([], [])
    bandit.select(4)
    bandit.update([], [])
    assert bandit.finished


def test_fresh_forgets_earlier_stages() -> None:
    for mode, winner in (("cumulative", 0), ("fresh", 1)):
        bandit = SequentialHalving(4, budget=16, mode=mode)
        for _ in range(2):
            bandit.update(np.sort(bandit.select(4)), [1, 0.2, 0, 0])
        for _ in range(4):
            bandit.update(np.sort(bandit.select(4)), [0.4, 0.5])
        assert bandit.ranking(1).tolist() == [winner]


def test_bracketing_by_hand() -> None:
    # 7 arms want 3 evaluations each = 21 <= 23; 8 want 24.
    assert [bracket(8, budget) for budget in (2, 5, 6, 8, 14, 15, 23, 24)] == [2, 2, 3, 4, 4, 5, 7, 8]
    bandit = SequentialHalving(100, seed=4, budget=23)
    run(bandit, np.linspace(0, 1, 100))
    entered = np.flatnonzero(bandit.counts)
    assert len(entered) == 7
    assert bandit.ranking(7).tolist() == entered[::-1].tolist()
    assert sorted(bandit.ranking(100)) == list(range(100))
    others = SequentialHalving(100, seed=5, budget=23)
    assert set(others.select(100)) != set(entered)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(2, 600), st.integers(1, 7), st.integers(1, 50), st.integers(0, 9))
def test_never_over_budget_and_always_ends(
    arms: int, evaluations: int, questions: int, k: int, seed: int
) -> None:
    budget = evaluations * questions
    bandit = SequentialHalving(arms, seed, budget=budget, questions=questions)
    run(bandit, np.random.default_rng(seed).random(arms), k)
    assert bandit.spent == bandit.counts.sum() <= budget
    assert sorted(bandit.ranking(arms)) == list(range(arms))
    assert (bandit.counts > 0).sum() == (bandit.entrants if arms > 1 else 0)


def test_updates_that_no_selection_awaits_are_refused() -> None:
    bandit = SequentialHalving(4, budget=16)
    with pytest.raises(DataError, match="0 selections await"):
        bandit.update([0], [1.0])
    arms = bandit.select(4)
    with pytest.raises(DataError, match="4 evaluations at most") as caught:
        bandit.update(np.repeat(arms, 2), np.ones(8))
    assert "one update per selection" in caught.value.hint
    bandit.update(arms, np.ones(4))
