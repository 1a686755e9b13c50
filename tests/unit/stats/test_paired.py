from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special, stats

from rlpersona.errors import DataError
from rlpersona.stats import mcnemar_exact, paired_difference, set_difference

NAN = float("nan")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_is_the_binomial_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses, 0.5).pvalue if wins + losses else 1.0
    assert mcnemar_exact(wins, losses) == pytest.approx(expected, rel=1e-9)


def test_binary_by_hand() -> None:
    found = paired_difference([1, 1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 1, 1, 1])
    assert (found.wins, found.losses, found.ties, found.test) == (5, 1, 2, "mcnemar")
    assert found.p_value == pytest.approx(2 * 7 / 64)
    assert found.difference.estimate == 0.5
    assert -1 < found.difference.low < 0.5 < found.difference.high < 1


def counted(wins: int, losses: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores and control with so many wins and losses of n questions, the rest right twice."""
    won, lost = np.arange(n) < wins, np.arange(n) >= n - losses
    return np.where(lost, 0.0, 1.0), np.where(won, 0.0, 1.0)


@pytest.mark.parametrize(("wins", "losses", "n"), [(5, 1, 8), (1, 0, 60), (10, 25, 60), (0, 9, 400)])
def test_the_ends_are_where_the_score_test_turns(wins: int, losses: int, n: int) -> None:
    """Tango's ends, with the likeliest share of losses searched for instead of solved for."""
    found = paired_difference(*counted(wins, losses, n)).difference
    for end in (found.low, found.high):

        def unlikelihood(share: float, end: float = end) -> float:
            return -float(
                special.xlogy(wins, share + end)
                + special.xlogy(losses, share)
                + special.xlogy(n - wins - losses, 1 - 2 * share - end)
            )

        bounds = (max(0.0, -end), (1 - end) / 2)
        lost = optimize.minimize_scalar(
            unlikelihood, bounds=bounds, method="bounded", options={"xatol": 1e-10}
        )
        variance = (2 * lost.x + end - end**2) / n
        assert abs((wins - losses) / n - end) == pytest.approx(1.959964 * np.sqrt(variance), abs=1e-6)


def test_a_discordant_question_never_narrows_the_interval() -> None:
    for n in (3, 20, 60, 400):
        reaches = []
        for discordant in range(4):
            wins, losses = (discordant + 1) // 2, discordant // 2
            found = paired_difference(*counted(wins, losses, n)).difference
            assert -1 <= found.low <= found.estimate <= found.high <= 1
            reaches.append(found.high - found.low)
        assert reaches == sorted(reaches), n


def test_all_won_is_no_certainty() -> None:
    found = paired_difference([1, 1, 1], [0, 0, 0])
    z = 1.959964**2
    ends = found.difference.low, found.difference.high
    assert ends == pytest.approx(((3 - z) / (3 + z), 1.0), abs=1e-6)
    assert found.p_value == 0.25
    lost = paired_difference([0, 0, 0], [1, 1, 1]).difference
    assert (lost.low, lost.high) == pytest.approx((-1.0, (z - 3) / (3 + z)), abs=1e-6)


def test_equal_gains_may_hide_losses_as_well_as_greater_gains() -> None:
    """A share q of other questions, none of which came up, may be at either end of [-1, 1]."""
    found = paired_difference([0.9] * 5, [0.1] * 5).difference
    q = 1 - 0.025 ** (1 / 5)
    assert (found.low, found.high) == pytest.approx((0.8 - q * 1.8, 0.8 + q * 0.2))
    one_apart = paired_difference([0.9] * 4 + [0.8], [0.1] * 5).difference
    assert one_apart.low < 0.8 - q * 1.7, "a little spread is no better evidence"


def test_the_score_interval_covers() -> None:
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(1500):
        wins, losses, _ties = rng.multinomial(60, [0.06, 0.02, 0.92])
        found = paired_difference(*counted(wins, losses, 60)).difference
        hits += found.contains(0.04)
    assert hits / 1500 > 0.94


def test_continuous_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(40), rng.random(40)
    found = paired_difference(ours, theirs, level=0.9)
    expected = stats.ttest_rel(ours, theirs)
    assert found.test == "t"
    assert found.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval(0.9)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))


def test_pairing_removes_what_questions_share() -> None:
    rng = np.random.default_rng(1)
    ease = rng.random(200)
    found = paired_difference(ease + 0.02 + rng.normal(0, 0.01, 200), ease)
    assert 0.015 < found.difference.low < found.difference.high < 0.025


def test_unscored_answers_take_their_question_out() -> None:
    found = paired_difference([1, NAN, 0, 1, 1], [0, 1, 0, NAN, 1])
    assert (found.difference.n, found.wins, found.losses, found.ties) == (3, 1, 0, 2)


def test_no_discordant_question_leaves_what_could_not_be_seen() -> None:
    found = paired_difference(np.ones(300), np.ones(300))
    assert found.p_value == 1
    z = 1.959964**2
    reach = z / (300 + z)
    assert (found.difference.low, found.difference.high) == pytest.approx((-reach, reach), abs=1e-6)
    # About the true share of wins at which no win shows up with chance .025.
    assert (1 - found.difference.high) ** 300 == pytest.approx(0.025, abs=0.005)
    shifted = paired_difference([0.5, 0.75, 0.25, 0.5], [0.25, 0.5, 0.0, 0.25])
    assert shifted.difference.low < 0 < shifted.difference.high
    assert shifted.p_value == pytest.approx(2 / 16)


def test_a_set_is_averaged_before_questions_are_counted() -> None:
    control = np.array([1.0, 0.0, 1.0, 0.0])
    answers = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [1, 0, NAN, NAN]])
    found = set_difference(answers, control)
    direct = paired_difference([1, 1 / 3, 0, 0.5], control)
    assert found == direct
    assert found.difference.n == 4
    # Repeating the same persona adds no evidence.
    assert set_difference([control[::-1]] * 50, control) == paired_difference(control[::-1], control)


def test_a_question_that_nobody_scored_is_out() -> None:
    found = set_difference([[NAN, 1, 0], [NAN, 0, 0]], [1, 1, 1])
    assert found.difference.n == 2


@pytest.mark.parametrize(
    ("scores", "control"),
    [
        ([1, 0], [1]),
        ([[1, 0]], [[1, 0]]),
        ([1], [1]),
        ([1, NAN], [1, 1]),
        ([], []),
        ([1, np.inf], [0, 0]),
    ],
)
def test_pairs_that_are_none(scores: Any, control: Any) -> None:
    with pytest.raises(DataError):
        paired_difference(scores, control)


@pytest.mark.parametrize("scores", [[1, 0, 1], np.zeros((0, 3)), np.zeros((2, 2))])
def test_sets_that_are_none(scores: Any) -> None:
    with pytest.raises(DataError):
        set_difference(scores, [1, 1, 0])


def test_negative_counts() -> None:
    with pytest.raises(DataError):
        mcnemar_exact(3, -1)
