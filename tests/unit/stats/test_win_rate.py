from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.stats import length_controlled, position_bias, t_interval, win_rate

NAN = float("nan")


def test_prompts_weigh_the_same_however_often_they_were_judged() -> None:
    scores = [1, 1, 1, 1, 0, 0.5, NAN, NAN]
    prompts = ["p", "p", "p", "p", "q", "r", "r", "s"]
    found = win_rate(scores, prompts)
    assert found.rate.estimate == pytest.approx((1 + 0 + 0.5) / 3)
    assert (found.wins, found.losses, found.ties, found.unscored, found.without) == (4, 1, 1, 2, 1)
    assert found.rate.n == found.test.n == 3
    # Signs of +.5, -.5 and 0: nothing is rarer than what was seen.
    assert found.test.p_value == 1.0


def test_the_interval_is_students_over_prompt_means() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((30, 4))
    found = win_rate(scores.ravel(), np.repeat(np.arange(30), 4).tolist())
    expected = t_interval(scores.mean(axis=1))
    assert (found.rate.low, found.rate.high) == pytest.approx((expected.low, expected.high))
    reach = found.rate.high - found.rate.low
    assert found.bootstrap.high - found.bootstrap.low == pytest.approx(reach, rel=0.15)


def test_always_winning_leaves_what_could_not_be_seen() -> None:
    found = win_rate([1.0] * 8, list(range(8)))
    assert (found.rate.estimate, found.rate.high) == (1.0, 1.0)
    assert found.rate.low == pytest.approx(0.025 ** (1 / 8))
    assert found.test.p_value == pytest.approx(2 / 2**8)


def worlds(seed: int, truth: float, prompts: int = 24, samples: int = 8) -> tuple[Any, list[int]]:
    """Verdicts of prompts whose own win rates differ: samples of one prompt hang together."""
    rng = np.random.default_rng([11, seed])
    own = rng.beta(2 * truth, 2 * (1 - truth), prompts)
    scores = (rng.random((prompts, samples)) < own[:, None]).astype(float)
    return scores.ravel(), np.repeat(np.arange(prompts), samples).tolist()


def test_equal_models_are_told_apart_no_more_often_than_promised() -> None:
    found = [win_rate(*worlds(seed, 0.5), resamples=200) for seed in range(200)]
    assert np.mean([each.test.p_value <= 0.05 for each in found]) <= 0.075
    assert np.mean([each.rate.contains(0.5) for each in found]) >= 0.925
    assert np.mean([each.bootstrap.contains(0.5) for each in found]) >= 0.90
    wilson_reach = 1.96 * np.sqrt(0.25 / 192)
    naive = np.mean([abs(each.rate.estimate - 0.5) > wilson_reach for each in found])
    assert naive > 0.2, "samples counted as independent claim four times what they may"


def test_a_true_win_rate_is_covered() -> None:
    found = [win_rate(*worlds(seed, 0.7), resamples=10).rate for seed in range(200)]
    assert np.mean([rate.contains(0.7) for rate in found]) >= 0.92


def length_world(seed: int, theta: float, phi: float, prompts: int = 200) -> tuple[Any, Any, list[int]]:
    """The model is mostly longer; the judge likes length by phi, the model itself by theta."""
    rng = np.random.default_rng([13, seed])
    longer = rng.normal(20, 25, prompts)
    logit = theta + phi * np.tanh(longer / longer.std())
    return (rng.random(prompts) < 1 / (1 + np.exp(-logit))).astype(float), longer, list(range(prompts))


def test_where_only_length_decides_the_controlled_rate_is_one_half() -> None:
    found = [length_controlled(*length_world(seed, 0.0, 2.0), resamples=200) for seed in range(100)]
    assert np.mean([each.raw for each in found]) > 0.68
    rates = [each.rate.estimate for each in found if each.rate is not None]
    assert len(rates) == 100
    assert np.mean(rates) == pytest.approx(0.5, abs=0.015)
    assert np.mean([each.rate is not None and each.rate.contains(0.5) for each in found]) >= 0.89
    assert np.mean([each.length.estimate for each in found if each.length]) == pytest.approx(2, abs=0.15)


def test_what_is_left_at_equal_length_is_found() -> None:
    truth = 1 / (1 + np.exp(-1.0))
    found = [length_controlled(*length_world(seed, 1.0, -1.5), resamples=50) for seed in range(40)]
    assert np.mean([each.raw for each in found]) < truth - 0.1
    assert np.mean([each.rate.estimate for each in found if each.rate]) == pytest.approx(truth, abs=0.02)


def test_equal_lengths_leave_the_win_rate_as_it_is() -> None:
    scores, prompts = worlds(3, 0.6)
    found = length_controlled(scores, np.zeros(len(scores)), prompts)
    plain = win_rate(scores, prompts)
    assert found.rate is not None
    assert found.length is None
    assert found.rate.estimate == pytest.approx(found.raw) == pytest.approx(plain.rate.estimate)
    assert found.rate.low == pytest.approx(plain.bootstrap.low, abs=0.02)


@pytest.mark.parametrize(
    ("scores", "longer", "reason"),
    [
        ([1, 1, 1], [3, -2, 1], "all won"),
        ([0, 0, 0], [3, -2, 1], "all lost"),
        ([1, 0, 1], [7, 7, 7], "every answer differs by the same length"),
        ([1, 0, 1, 0], [3, -3, 5, -1], "length tells wins from losses"),
        ([0, 1, 0, 1], [3, -3, 5, -1], "length tells wins from losses"),
        ([1, 0, 0.5], [3, -3, 0], "length tells wins from losses"),
    ],
)
def test_no_rate_where_there_is_nothing_to_tell_it_by(
    scores: list[float], longer: list[float], reason: str
) -> None:
    found = length_controlled(scores, longer, list(range(len(scores))))
    assert found.rate is None
    assert found.length is None
    assert found.reason is not None
    assert reason in found.reason
    assert found.raw == pytest.approx(np.mean(scores))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.5, 1.0, NAN]), st.integers(-300, 300), st.integers(0, 6)),
        min_size=2,
        max_size=40,
    )
)
def test_any_verdicts_give_a_rate_in_bounds_or_a_reason(rows: list[tuple[float, int, int]]) -> None:
    scores, longer, prompts = zip(*rows, strict=True)
    judged = {prompt for score, _, prompt in rows if not np.isnan(score)}
    if len(judged) < 2:
        with pytest.raises(DataError):
            length_controlled(scores, longer, prompts, resamples=20)
        return
    found = length_controlled(scores, longer, prompts, resamples=20)
    assert (found.rate is None) == (found.reason is not None)
    if found.rate is not None:
        assert 0 <= found.rate.low <= found.rate.estimate <= found.rate.high <= 1
        assert found.rate.n == len(judged)
    plain = win_rate(scores, prompts, resamples=20)
    assert 0 <= plain.rate.low <= plain.rate.estimate <= plain.rate.high <= 1
    assert plain.rate.estimate == pytest.approx(found.raw)


@pytest.mark.parametrize(
    ("scores", "longer"), [([1, 2], [0, 1]), ([1, 0], [0]), ([1, 0], [0, NAN]), ([1], [1])]
)
def test_scores_that_are_none(scores: Any, longer: Any) -> None:
    with pytest.raises(DataError):
        length_controlled(scores, longer, list(range(len(scores))))


def test_position_bias_by_hand() -> None:
    sides = [
        ("a", "a"),  # the order did not matter
        ("a", "b"),  # the first place won twice
        ("b", "a"),  # the second place won twice
        ("a", "tie"),  # the first place won once, the second never
        ("tie", "tie"),
        ("a", None),  # half a verdict is none
    ]
    found = position_bias(sides, list("pqrstu"))
    assert (found.first, found.second, found.pairs, found.consistent) == (2, 1, 5, 2)
    assert found.share is not None
    assert found.share.estimate == pytest.approx(2 / 3)
    assert found.p_value == 1.0
    leaning = position_bias([("a", "b")] * 10, list(range(10)))
    assert leaning.p_value == pytest.approx(2 / 2**10)
    # Ten verdicts on one prompt are one piece of evidence.
    assert position_bias([("a", "b")] * 10, [0] * 10).p_value == 1.0
    assert position_bias([("a", "a")], ["p"]).share is None
    with pytest.raises(DataError):
        position_bias([("a", "a")], [])


def judged(rng: np.random.Generator, bias: float) -> tuple[list[tuple[str, str]], list[int]]:
    """Verdicts of a judge who finds the first place better by `bias` (log-odds), 4 a prompt."""
    sides, prompts = [], []
    for prompt in range(40):
        better = rng.normal(0, 1)
        for _ in range(4):
            ab = rng.random() < 1 / (1 + np.exp(-better - bias))
            ba = rng.random() < 1 / (1 + np.exp(-better + bias))
            sides.append(("a" if ab else "b", "a" if ba else "b"))
            prompts.append(prompt)
    return sides, prompts


def test_position_bias_is_found_where_it_is_and_only_there() -> None:
    none = [position_bias(*judged(np.random.default_rng([1, s]), 0.0)) for s in range(400)]
    assert np.mean([each.p_value <= 0.05 for each in none]) <= 0.065
    some = [position_bias(*judged(np.random.default_rng([2, s]), 0.7)) for s in range(50)]
    assert np.mean([each.p_value <= 0.05 for each in some]) > 0.9
    assert all(each.share is not None and each.share.estimate > 0.5 for each in some)
