from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

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
    differences = np.array([1, 1, 1, 1, 1, 0, -1, 0])
    reach = 2.364624 * differences.std(ddof=1) / np.sqrt(8)
    assert found.difference.estimate == 0.5
    assert (found.difference.low, found.difference.high) == pytest.approx((0.5 - reach, 0.5 + reach))


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


def test_no_discordant_question_leaves_the_rule_of_three() -> None:
    found = paired_difference(np.ones(300), np.ones(300))
    assert found.p_value == 1
    reach = 1 - 0.025 ** (1 / 300)
    assert (found.difference.low, found.difference.high) == pytest.approx((-reach, reach))
    # The ends are the true shares of wins at which no win shows up with chance .025.
    assert (1 - found.difference.high) ** 300 == pytest.approx(0.025)
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
