"""Greedy, epsilon-greedy, UCB1, UCB-E, uniform allocation, Exp3 and probability steps by hand."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.bandits import Bandit
from rlpersona.bandits.epsilon_greedy import EpsilonGreedy
from rlpersona.bandits.exp3 import Exp3
from rlpersona.bandits.greedy import Greedy
from rlpersona.bandits.means import top
from rlpersona.bandits.probability import ProbabilityBandit
from rlpersona.bandits.ucb import UCB1
from rlpersona.bandits.ucbe import UCBE
from rlpersona.bandits.uniform import UniformAllocation


def told(bandit: Bandit, counts: list[int], sums: list[float]) -> Bandit:
    for arm, (count, total) in enumerate(zip(counts, sums, strict=True)):
        bandit.update([arm] * count, [total / count] * count if count else [])
    return bandit


def firsts(bandit: Bandit, runs: int = 4000) -> np.ndarray:
    picks = [int(bandit.select(1)[0]) for _ in range(runs)]
    return np.bincount(picks, minlength=bandit.arms) / runs


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, np.inf]), min_size=1, max_size=12), st.integers(1, 15))
def test_top_holds_the_k_highest_best_first(worth: list[float], k: int) -> None:
    chosen = top(np.array(worth), k, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == len(chosen) == min(k, len(worth))
    assert [worth[arm] for arm in chosen] == sorted(worth, reverse=True)[:k]


def test_equal_arms_are_chosen_equally_often() -> None:
    bandit = told(Greedy(5, initial=0.5), [2, 0, 0, 0, 1], [2, 0, 0, 0, 0])
    pairs = Counter(frozenset(bandit.select(2).tolist()) for _ in range(3000))
    assert {frozenset((0, arm)) for arm in (1, 2, 3)} == set(pairs)
    assert min(pairs.values()) > 900


def test_optimistic_start_tries_every_arm_once() -> None:
    bandit = Greedy(12, seed=3)
    seen = []
    for _ in range(4):
        arms = bandit.select(3)
        seen += arms.tolist()
        bandit.update(arms, [0.9, 0.5, 0.0])
    assert sorted(seen) == list(range(12))
    assert sorted(bandit.means()[bandit.select(4)]) == pytest.approx([0.9] * 4)


def test_greedy_without_optimism_stays_with_the_first_success() -> None:
    bandit = Greedy(9, seed=1, initial=0.0)
    arm = bandit.select(1)
    bandit.update(arm, [0.1])
    for _ in range(5):
        assert bandit.select(1).tolist() == arm.tolist()
        bandit.update(arm, [0.0])


def test_epsilon_greedy_draws_as_its_probabilities_say() -> None:
    bandit = told(EpsilonGreedy(4, epsilon=0.4), [3, 3, 3, 3], [1, 3, 2, 0])
    assert bandit.probabilities() == pytest.approx([0.1, 0.7, 0.1, 0.1])
    assert firsts(bandit) == pytest.approx(bandit.probabilities(), abs=4 * 0.5 / np.sqrt(4000))


def test_each_place_of_an_epsilon_greedy_selection_explores_with_epsilon() -> None:
    # Three of ten places; m explorers, binomial(3, 0.5), uniform among all ten; the rest best-first.
    bandit = told(EpsilonGreedy(10, epsilon=0.5), [1] * 10, list(np.linspace(1, 0, 10)))
    chosen = [bandit.select(3) for _ in range(4000)]
    assert all(len(set(row.tolist())) == 3 for row in chosen)
    share = np.bincount(np.concatenate(chosen), minlength=10) / 4000
    by_hand = np.zeros(10)
    for explored, odds in enumerate((1 / 8, 3 / 8, 3 / 8, 1 / 8)):
        sets = list(itertools.combinations(range(10), explored))
        for explorers in sets:
            rest = [arm for arm in range(10) if arm not in explorers][: 3 - explored]
            by_hand[[*explorers, *rest]] += odds / len(sets)
    assert by_hand.sum() == pytest.approx(3)
    assert share == pytest.approx(by_hand, abs=4 * 0.5 / np.sqrt(4000))


def test_ucb_index_by_hand() -> None:
    bandit = told(UCB1(3, c=2.0), [8, 2, 0], [6, 1, 0])
    index = bandit.index()  # type: ignore[attr-defined]
    assert index[:2] == pytest.approx([0.75 + np.sqrt(2 * np.log(10) / 8), 0.5 + np.sqrt(np.log(10))])
    assert bandit.select(3).tolist() == [2, 1, 0]
    assert bandit.probabilities().tolist() == [1, 0, 0]
    assert bandit.ranking(3).tolist() == [0, 1, 2]
    assert told(UCB1(2, c=0), [9, 1], [5, 0.5]).select(1).tolist() == [0]


def test_ucb_tries_every_arm_before_any_twice() -> None:
    bandit = UCB1(30, seed=2)
    seen = []
    for _ in range(3):
        arms = bandit.select(10)
        seen += arms.tolist()
        bandit.update(arms, np.ones(10))
    assert sorted(seen) == list(range(30))


def test_ucbe_index_and_default_by_hand() -> None:
    bandit = told(UCBE(2, budget=100, exploration=0.5), [2, 8], [1, 6])
    assert bandit.index() == pytest.approx([0.5 + 0.5, 0.75 + 0.25])  # type: ignore[attr-defined]
    # Ten points to every other arm: H = 20 / 0.1^2 = 2000, a = 25/36 (420 - 20) / 2000.
    assert UCBE(20, budget=420).exploration == pytest.approx(25 / 36 * 400 / 2000)
    assert UCBE(20, budget=10).exploration == 0


def test_uniform_goes_round_and_a_pass_is_a_block() -> None:
    bandit = UniformAllocation(7, seed=1)
    seen: dict[int, list[int]] = {}
    sizes = []
    for _ in range(9):
        arms = bandit.select(3)
        sizes.append(len(arms))
        seen.setdefault(bandit.block, []).extend(arms.tolist())
        bandit.update(arms, arms / 7)
    assert sizes == [3, 3, 1] * 3
    assert [sorted(arms) for arms in seen.values()] == [list(range(7))] * 3
    assert list(seen) == [0, 1, 2]
    assert seen[0] != list(range(7)) != UniformAllocation(7, seed=2).select(7).tolist()
    assert bandit.ranking(2).tolist() == [6, 5]


def test_uniform_hands_out_a_pass_ahead_of_its_updates() -> None:
    bandit = UniformAllocation(4)
    ahead = [bandit.select(2) for _ in range(4)]
    assert sorted(np.concatenate(ahead[:2])) == sorted(np.concatenate(ahead[2:])) == [0, 1, 2, 3]
    assert bandit.block == 1


def test_exp3_by_hand() -> None:
    bandit = Exp3(2, gamma=0.5)
    bandit.update([0, 1], [1.0, 0.5])
    # p = (1/2, 1/2): log w = 1/4 (2, 1)
    share = 1 / (1 + np.exp(-0.25))
    policy = 0.5 * np.array([share, 1 - share]) + 0.25
    assert bandit.probabilities() == pytest.approx(policy)
    bandit.update([1], [0.8], [0.2])  # drawn when its chance was 1/5: log w_1 += 1/4 * 4
    share = 1 / (1 + np.exp(1 - 0.25))
    assert bandit.probabilities() == pytest.approx(0.5 * np.array([share, 1 - share]) + 0.25)


def test_exp3_estimates_every_arm_without_bias_however_late() -> None:
    means, drawn = np.array([0.9, 0.5, 0.2]), np.array([0.5, 0.3, 0.2])
    total = np.zeros(3)
    for pair in itertools.product(range(3), repeat=2):
        bandit = Exp3(3, gamma=0.3)
        bandit.log_weights = np.array([0.0, -1.0, -2.0])
        bandit.update(pair, means[list(pair)], drawn[list(pair)])
        gains = (bandit.log_weights - [0.0, -1.0, -2.0]) * 3 / 0.3
        total += np.prod(drawn[list(pair)]) * (gains - gains[0])
    assert total == pytest.approx(2 * (means - means[0]))


def test_exp3_never_falls_below_its_floor() -> None:
    bandit = Exp3(5, gamma=0.2)
    for _ in range(3000):
        bandit.update([3], [1.0])
    assert bandit.probabilities() == pytest.approx([0.04, 0.04, 0.04, 0.84, 0.04])


def test_probability_steps_by_hand() -> None:
    bandit = ProbabilityBandit(4, lr=0.2, floor=0.1)
    bandit.update([0, 1], [1.0, 0.0])
    assert bandit.probabilities() == pytest.approx([0.35, 0.15, 0.25, 0.25])
    bandit.update([0, 0, 1], [1.0, 1.0, 0.0])  # mean 2/3: +2/3 and -2/3, times 0.2; floor 0.025
    moved = np.array([0.35 + 0.4 / 3, 0.025, 0.25, 0.25])
    assert bandit.probabilities() == pytest.approx(moved / moved.sum())


def test_late_probability_steps_are_weighted() -> None:
    bandit = ProbabilityBandit(4, lr=0.1, max_weight=2.0)
    bandit.update([0, 1, 2], [1.0, 0.5, 0.0], [0.5, 0.25, 0.05])  # weights 1/2, 1, min(2, 5)
    moved = np.array([0.25 + 0.025, 0.25, 0.25 - 0.1, 0.25])
    assert bandit.probabilities() == pytest.approx(moved / moved.sum())
