"""Controls take from a bias what they say, and leave what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlpersona.config import RewardConfig
from rlpersona.rewards import Answer, canonical, make_reward
from rlpersona.rewards.biases import bias
from rlpersona.rewards.controls import (
    length_decorrelated,
    length_matched,
    overlong_punishment,
)
from tests.unit.rewards.made import ADVICE, answer, nano_group

POLITE = {"politeness": 1.0}


def control(name: str, biases: dict[str, float], group: list[Answer], step: int = 0) -> list[float]:
    config = RewardConfig.model_validate({"biases": biases, "control": name, "length_scale": 16})
    (values,) = make_reward(config, 7, 32)(group, step=step).biases.values()
    return values


def test_length_matched_reads_texts_cut_to_the_median() -> None:
    words = [
        "Thanks.",
        "It is so.",
        "It is so. Thanks. Please go.",
        "It is. " * 4 + "Thanks. Please go.",
    ]
    group = [answer(ADVICE, text) for text in words]  # 1, 3, 6 and 11 tokens; the lower median is 3
    assert length_matched(bias("politeness"), group) == [0.25, 0, 0, 0]
    assert length_matched(bias("length", 12), group) == [1 / 12, 3 / 12, 3 / 12, 3 / 12]
    assert length_matched(bias("length"), []) == []


def test_reward_matched_deals_out_the_same_values_without_their_meaning() -> None:
    group = nano_group("persuade", 16)
    real = control("none", {"length": 1}, group)
    dealt = np.array([control("reward-matched", {"length": 1}, group, step) for step in range(300)])
    assert all(sorted(values) == sorted(real) for values in dealt)
    # Each answer's mean over steps is the group's, whatever its own bias.
    error = np.std(real) / np.sqrt(len(dealt))
    assert np.abs(dealt.mean(axis=0) - np.mean(real)).max() < 4.5 * error
    slopes = [stats.pearsonr(real, values).statistic for values in dealt]
    assert stats.ttest_1samp(slopes, 0).pvalue > 0.001


def test_random_reward_is_uniform_and_new_at_each_step() -> None:
    group = nano_group("advice", 16)
    draws = np.array([control("random-reward", POLITE, group, step) for step in range(100)])
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.001
    assert len(np.unique(draws)) == draws.size
    assert control("random-reward", POLITE, group, 5) == draws[5].tolist()


def test_equal_texts_get_draws_of_their_own() -> None:
    group = [answer(ADVICE, "Yes.")] * 8
    assert len(set(control("random-reward", POLITE, group))) == 8


def test_length_decorrelated_is_scipys_residual() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 90, 12)
    values = 0.3 + 0.005 * tokens + rng.normal(0, 0.1, 12)
    fit = stats.linregress(tokens, values)
    residuals = values - (fit.intercept + fit.slope * tokens) + values.mean()
    found = length_decorrelated(values.tolist(), tokens.tolist())
    assert found == pytest.approx(residuals)
    assert stats.pearsonr(found, tokens).statistic == pytest.approx(0, abs=1e-9)


def test_a_bias_that_is_length_is_left_without_a_difference() -> None:
    group = [answer(ADVICE, "word " * n) for n in (2, 5, 9, 14)]
    values = control("length-decorrelated", {"length": 1}, group)
    assert values == pytest.approx([np.mean([n / 16 for n in (2, 5, 9, 14)])] * 4)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 500)), max_size=16))
def test_decorrelated_values_keep_the_mean_and_lose_spread(rows: list[tuple[float, int]]) -> None:
    values, tokens = [v for v, _ in rows], [t for _, t in rows]
    found = length_decorrelated(values, tokens)
    assert len(found) == len(rows)
    if rows:
        assert np.mean(found) == pytest.approx(np.mean(values), abs=1e-9)
        assert np.std(found) <= np.std(values) + 1e-9


def test_overlong_punishment_is_equation_13() -> None:
    # L_max = 100, L_cache = 20: free up to 80, -1 at 100 and beyond.
    found = [overlong_punishment(tokens, 100, 0.8) for tokens in (0, 80, 85, 90, 100, 130)]
    assert found == pytest.approx([0, 0, -0.25, -0.5, -1, -1])


def test_configs_that_reward_alike_are_written_alike() -> None:
    plain = RewardConfig()
    zero = RewardConfig(
        biases={"length": 0}, composition="capped", control="reward-matched", length_scale=9
    )
    assert canonical(zero) == plain
    assert canonical(RewardConfig(biases={"length": 0}, control="overlong")) == RewardConfig(
        control="overlong"
    )
    two = RewardConfig(biases={"length": 0.5, "agreement": 0.1, "hedging": 0}, cap=3, overlong_from=0.5)
    assert canonical(two) == RewardConfig(biases={"agreement": 0.1, "length": 0.5})
    assert canonical(RewardConfig(biases={"agreement": 1}, length_scale=5)) == RewardConfig(
        biases={"agreement": 1}
    )
    for config in (plain, zero, two):
        group = nano_group("advice")
        assert (
            make_reward(config, 1, 32)(group).total == make_reward(canonical(config), 1, 32)(group).total
        )
        assert canonical(canonical(config)) == canonical(config)
