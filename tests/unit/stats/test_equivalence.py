from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlpersona.errors import ConfigError, DataError
from rlpersona.stats import tost


def test_is_two_one_sided_t_tests() -> None:
    rng = np.random.default_rng(2)
    ours, theirs = rng.random(60), rng.random(60)
    found = tost(ours, theirs, margin=0.15)
    differences = ours - theirs
    above = stats.ttest_1samp(differences, -0.15, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.15, alternative="less").pvalue
    assert found.p_value == pytest.approx(max(above, below))
    assert found.difference.level == pytest.approx(0.9)


@pytest.mark.parametrize("n", [60, 95, 150])
def test_a_discordant_question_is_no_evidence_of_equivalence(n: int) -> None:
    p_values = []
    for wins in range(4):
        ours, theirs = np.ones(n), np.ones(n)
        theirs[:wins] = 0
        p_values.append(tost(ours, theirs, 0.03).p_value)
        assert tost(theirs, ours, 0.03).p_value == pytest.approx(p_values[-1])
    assert p_values == sorted(p_values)
    ours, theirs = np.full(n, 0.5), np.full(n, 0.5)
    same = tost(ours, theirs + 1e-3, 0.03).p_value
    ours[0] = 0.51
    assert tost(ours, theirs + 1e-3, 0.03).p_value >= 0.99 * same, "of fractions, too"


SCORES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0]))


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=40),
        st.lists(st.tuples(*[st.sampled_from([0.0, 1.0])] * 2), min_size=2, max_size=40),
        st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 1.0])] * 2), min_size=2, max_size=40),
    ),
    st.floats(0.01, 1.5),
    st.sampled_from([0.01, 0.05, 0.2]),
)
def test_equivalent_is_the_interval_within_the_margin(
    pairs: list[tuple[float, float]], margin: float, alpha: float
) -> None:
    ours, theirs = np.array(pairs).T
    found = tost(ours, theirs, margin, alpha)
    assert 0 <= found.p_value <= 1
    room = margin - max(abs(found.difference.low), abs(found.difference.high))
    if abs(room) > 1e-9:
        assert found.equivalent == (room > 0)


def test_size_and_power() -> None:
    rng = np.random.default_rng(5)

    def claims(shift: float) -> float:
        noise = rng.normal(shift, 0.3, (600, 400))
        return float(np.mean([tost(row, np.zeros(400), 0.05).equivalent for row in noise]))

    assert claims(0.05) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 600)
    assert claims(0.0) > 0.85


def test_no_difference_at_all_is_no_proof_from_few_questions() -> None:
    few, many = (tost(np.ones(n), np.ones(n), 0.02) for n in (20, 200))
    assert not few.equivalent
    assert few.p_value == pytest.approx(stats.norm.sf(np.sqrt(20 * 0.02 / 0.98)))
    assert many.equivalent
    few, many = (tost(np.full(n, 0.4), np.full(n, 0.4) + 0.01, 0.02) for n in (20, 500))
    assert few.p_value == pytest.approx((0.98 / 0.99) ** 20)
    assert (few.equivalent, many.equivalent) == (False, True)
    assert not tost(np.full(200, 0.5), np.zeros(200), 0.4).equivalent


@pytest.mark.parametrize("margin", [0, -0.1, float("nan"), float("inf")])
def test_margins(margin: float) -> None:
    with pytest.raises(ConfigError, match="margin="):
        tost([1, 0], [0, 0], margin)


@pytest.mark.parametrize("pair", [([1, 0], [1]), ([1], [1])])
def test_pairs(pair: Any) -> None:
    with pytest.raises(DataError):
        tost(*pair, margin=0.1)
