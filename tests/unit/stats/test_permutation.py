from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.stats import prompt_means, sign_flip

NAN = float("nan")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-8, 8).map(lambda k: k / 8), min_size=1, max_size=9))
def test_small_samples_try_every_sign(differences: list[float]) -> None:
    values = np.array(differences)
    sums = np.array([np.dot(signs, values) for signs in product((-1, 1), repeat=len(values))])
    expected = np.mean(np.abs(sums) >= abs(values.sum()) - 1e-9)
    found = sign_flip(values)
    assert found.exact
    assert found.p_value == pytest.approx(expected)
    assert found.difference == pytest.approx(values.mean())


def test_large_samples_come_near_the_t_test_and_are_the_same_every_time() -> None:
    from scipy import stats

    values = np.random.default_rng(2).normal(0.1, 0.5, 120)
    found = sign_flip(values)
    assert not found.exact
    assert found == sign_flip(values)
    assert found.p_value == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)
    assert sign_flip(np.full(100, 0.3)).p_value < 1e-3


def test_no_effect_is_found_no_more_often_than_promised() -> None:
    rng = np.random.default_rng(6)
    # Skewed sizes, fair signs: no normal theory would hold.
    drawn = rng.lognormal(0, 1.5, (300, 10)) * rng.choice([-1, 1], (300, 10))
    p_values = np.array([sign_flip(row).p_value for row in drawn])
    for level in (0.01, 0.05, 0.2):
        assert (p_values <= level).mean() <= level + 3 * np.sqrt(level * (1 - level) / 300)


def test_nothing_to_flip() -> None:
    assert sign_flip([0.0, 0.0, NAN]).p_value == 1.0
    assert sign_flip([0.0, 0.0, NAN]).n == 2
    assert sign_flip([1.0]).p_value == 1.0
    for nothing in ([], [NAN], [np.inf, 1.0], [[1.0]]):
        with pytest.raises(DataError):
            sign_flip(nothing)


def test_means_of_prompts() -> None:
    names, means = prompt_means([1, 0, NAN, 1, NAN], ["b", "b", "a", "a", "c"])
    assert names == ["b", "a", "c"]
    assert means[:2].tolist() == [0.5, 1.0]
    assert np.isnan(means[2])
    with pytest.raises(DataError):
        prompt_means([1, 0], ["a"])
