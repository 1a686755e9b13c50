from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from rlpersona.errors import DataError
from rlpersona.stats import mcnemar, paired_difference

NAN = float("nan")


def table(both: int, first: int, second: int, neither: int) -> tuple[list[int], list[int]]:
    ours = [1] * (both + first) + [0] * (second + neither)
    theirs = [1] * both + [0] * first + [1] * second + [0] * neither
    return ours, theirs


def test_the_presidents_rating() -> None:
    """Agresti's approval of the prime minister: 794, 150, 86, 570 of 1,600; z^2 = 17.36 there.

    The exact p-value is scipy's binomial test of 86 in 236; the difference of .04 is published with the
    interval (.022, .059)."""
    ours, theirs = table(794, 150, 86, 570)
    found = mcnemar(ours, theirs, list(range(1600)))
    assert (found.both, found.only_first, found.only_second, found.neither) == (794, 150, 86, 570)
    assert found.test == "exact"
    assert found.p_value == pytest.approx(stats.binomtest(86, 236, 0.5).pvalue)
    assert found.difference.estimate == pytest.approx(0.04)
    assert (found.difference.low, found.difference.high) == pytest.approx((0.022, 0.059), abs=0.001)


def test_several_answers_a_prompt_are_one_piece_of_evidence() -> None:
    ours, theirs = [1] * 40, [0] * 40
    found = mcnemar(ours, theirs, [k % 4 for k in range(40)])
    assert found.test == "sign-flip"
    assert found.p_value == pytest.approx(2 / 2**4)
    assert (found.difference.n, found.only_first) == (4, 40)
    assert found.difference.low < 0.6, "four prompts are no certainty"


def test_prompts_that_decide_for_all_their_answers_claim_nothing() -> None:
    claims = naive = 0
    for seed in range(100):
        rng = np.random.default_rng([17, seed])
        prompts = np.repeat(np.arange(12), 8)
        ours, theirs = ((rng.random(12) < 0.5).repeat(8).astype(float) for _ in range(2))
        claims += mcnemar(ours, theirs, prompts.tolist()).p_value <= 0.05
        naive += paired_difference(ours, theirs).p_value <= 0.05
    assert claims <= 11
    assert naive > 30


def test_unknown_outcomes_take_their_answer_out() -> None:
    found = mcnemar([1, NAN, 0, 1], [0, 1, 0, 0], ["a", "b", "c", "d"])
    assert (found.both, found.only_first, found.only_second, found.neither) == (0, 2, 0, 1)
    assert found.difference.n == 3


@pytest.mark.parametrize(
    ("ours", "theirs", "prompts"),
    [([1, 0.5], [0, 1], [1, 2]), ([1, 0], [1], [1, 2]), ([1, 0], [1, 0], [1]), ([1], [0], [1])],
)
def test_outcomes_that_are_none(ours: Any, theirs: Any, prompts: Any) -> None:
    with pytest.raises(DataError):
        mcnemar(ours, theirs, prompts)
