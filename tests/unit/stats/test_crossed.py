"""Personas and questions both at random: cover, false alarms, REML, hand-made analysis of variance."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.stats import CrossedEffect, crossed_effect, crossed_mean, paired_difference

INTERACTION = ([-1.0, 1.0], [-1.0, 1.0])
ERA = ([-1.0, 1.0], [0.5, 0.5])


def world(
    rng: np.random.Generator, people: int, questions: int, effect: float = 0.0, scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with random personas and questions and their slopes; half of each of either kind."""
    era, content = np.arange(people) % 2, np.arange(questions) % 2
    scores = (
        0.5 * rng.normal(size=people)[:, None]
        + rng.normal(size=questions)
        + 0.4 * rng.normal(size=(people, 2))[:, content]
        + 0.3 * rng.normal(size=(questions, 2))[:, era].T
        + rng.normal(size=(people, questions))
    )
    return scale * scores + effect * np.outer(era, content), np.eye(2)[era], np.eye(2)[content]


def interaction(world: tuple[np.ndarray, np.ndarray, np.ndarray]) -> CrossedEffect:
    return crossed_effect(*world, *INTERACTION)


@pytest.mark.parametrize(("people", "questions"), [(6, 60), (20, 40), (40, 12)])
def test_a_planted_interaction_is_covered(people: int, questions: int) -> None:
    rng = np.random.default_rng(people)
    found = [interaction(world(rng, people, questions, 0.4)) for _ in range(1000)]
    covered = np.mean([one.low <= 0.4 <= one.high for one in found])
    assert 0.93 <= covered <= 0.975
    assert np.mean([one.estimate for one in found]) == pytest.approx(0.4, abs=0.03)


def test_right_and_wrong_answers_are_covered_on_the_scale_of_probabilities() -> None:
    """Answers 0 or 1 from a probit world; the truth is the mean over many personas and questions."""
    rng = np.random.default_rng(5)
    people, kinds, other = world(rng, 1000, 1000, 0.5, 0.5)
    truth = interaction(((people > 0).astype(float), kinds, other)).estimate
    covered = 0
    for _ in range(600):
        scores, x, z = world(rng, 16, 40, 0.5, 0.5)
        one = interaction(((scores > 0).astype(float), x, z))
        covered += one.low <= truth <= one.high
    assert covered / 600 >= 0.93


def test_few_personas_do_not_make_an_era_effect_out_of_many_answers() -> None:
    """Six personas, two thousand answers, no era effect: at most about 5 % of worlds may claim one."""
    rng = np.random.default_rng(1)
    crossed = naive = 0
    for _ in range(400):
        scores, x, z = world(rng, 6, 300)
        crossed += crossed_effect(scores, x, z, *ERA).p_value < 0.05
        new, old = scores[x[:, 1] == 1].ravel(), scores[x[:, 0] == 1].ravel()
        error = np.sqrt(new.var() / new.size + old.var() / old.size)
        naive += abs(new.mean() - old.mean()) > 1.96 * error
    assert crossed / 400 <= 0.07
    assert naive / 400 > 0.5, "answers taken as independent: the mistake that this guards against"


def test_restricted_maximum_likelihood_agrees() -> None:
    """statsmodels' MixedLM with crossed components and slopes, where it finds none of them at zero."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    scores, x, z = world(np.random.default_rng(8), 8, 12, 0.5)
    found = interaction((scores, x, z))
    people, questions = np.indices(scores.shape)
    data = pd.DataFrame(
        {
            "y": scores.ravel(),
            "p": people.ravel(),
            "q": questions.ravel(),
            "era": x[people.ravel(), 1],
            "content": z[questions.ravel(), 1],
            "one": 1,
        }
    )
    parts = {
        "person": "0 + C(p)",
        "question": "0 + C(q)",
        "slope_p": "0 + C(p):C(content)",
        "slope_q": "0 + C(q):C(era)",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = MixedLM.from_formula("y ~ era * content", data, groups="one", vc_formula=parts)
        fitted = model.fit(reml=True)
    assert (np.asarray(fitted.vcomp) > 0.005).all(), "a component at its edge: pick another seed"
    assert found.estimate == pytest.approx(fitted.params["era:content"], abs=1e-6)
    assert found.error == pytest.approx(fitted.bse["era:content"], rel=0.01)


def test_two_way_analysis_of_variance_by_hand() -> None:
    table = np.array([[1.0, 2.0, 4.0], [2.0, 5.0, 5.0]])
    # Row means 7/3 and 4, column means 1.5, 3.5, 4.5, mean 19/6. Mean squares: personas
    # 3 * 2 * (5/6)^2, questions 2 * (25/9 + 1/9 + 16/9) / 2, rest by differences: 4/3 / 2 = 2/3.
    people, questions, rest = 25 / 6, 14 / 3, 2 / 3
    found = crossed_mean(table)
    assert found.estimate == pytest.approx(19 / 6)
    variance = (people + questions - rest) / 6
    assert found.error == pytest.approx(np.sqrt(variance))
    spread = (people**2 / 1 + questions**2 / 2 + rest**2 / 2) / 36
    assert found.df == pytest.approx(variance**2 / spread)
    assert (found.personas, found.questions) == (2, 3)


def test_one_question_less_than_two_says_nothing() -> None:
    with pytest.raises(DataError, match="too few personas"):
        crossed_mean(np.zeros((1, 5)))
    with pytest.raises(DataError, match="too few questions"):
        crossed_mean(np.zeros((5, 1)))


def test_personas_that_are_all_alike_leave_the_paired_t_test() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=30)
    found, paired = crossed_mean(np.tile(scores, (4, 1))), paired_difference(scores, np.zeros(30))
    assert (found.low, found.high) == pytest.approx((paired.difference.low, paired.difference.high))
    assert found.p_value == pytest.approx(paired.p_value)


def test_pairs_and_covariates_take_out_what_they_explain() -> None:
    """Fame makes people good, and the modern ones are the more famous: only a comparison lies."""
    rng = np.random.default_rng(3)
    pairs, questions = 30, 50
    fame = np.repeat(rng.normal(size=pairs), 2)
    modern = np.tile([0.0, 1.0], pairs)
    shifted = fame + 1.0 * modern
    noise = 0.3 * rng.normal(size=(2 * pairs, 1)) + rng.normal(size=(2 * pairs, questions))
    ones, total = np.ones((questions, 1)), [1.0]
    scores = shifted[:, None] + noise
    plain = crossed_effect(scores, np.column_stack([1 - modern, modern]), ones, [-1, 1], total)
    held = crossed_effect(
        scores, np.column_stack([1 - modern, modern, shifted]), ones, [-1, 1, 0], total
    )
    assert plain.low > 0.3
    assert held.low < 0 < held.high
    dummies = np.column_stack([np.repeat(np.eye(pairs), 2, axis=0), modern])
    within = crossed_effect(fame[:, None] + noise, dummies, ones, [0] * pairs + [1], total)
    differences = (fame[:, None] + noise)[1::2].mean(axis=1) - (fame[:, None] + noise)[::2].mean(axis=1)
    assert within.estimate == pytest.approx(differences.mean())
    assert within.df <= pairs


def test_missing_answers_are_filled_by_the_additive_fit() -> None:
    rng = np.random.default_rng(4)
    scores, x, z = world(rng, 12, 30, 0.4)
    holes = np.where(rng.random(scores.shape) < 0.05, np.nan, scores)
    whole, torn = interaction((scores, x, z)), interaction((holes, x, z))
    assert torn.estimate == pytest.approx(whole.estimate, abs=0.1)
    additive = np.add.outer(rng.normal(size=12), rng.normal(size=30))
    additive_torn = np.where(rng.random(additive.shape) < 0.1, np.nan, additive)
    assert crossed_mean(additive_torn).estimate == pytest.approx(crossed_mean(additive).estimate)
    gone = np.vstack([scores, np.full(30, np.nan)])
    assert interaction((gone, np.vstack([x, x[:1]]), z)) == whole
    with pytest.raises(DataError, match="missing"):
        crossed_mean(np.where(rng.random((9, 9)) < 0.5, np.nan, 1.0))


def test_no_spread_at_all() -> None:
    assert crossed_mean(np.zeros((3, 4))).p_value == 1
    certain = crossed_mean(np.ones((3, 4)))
    assert (certain.low, certain.high, certain.p_value) == (1, 1, 0)


@pytest.mark.parametrize(
    ("personas", "questions", "of_personas"),
    [
        (np.ones((4, 1)), np.ones((6, 1)), [1.0]),
        (np.ones((5, 2)), np.ones((6, 1)), [-1.0, 1.0]),
        (np.ones((5, 1)), np.ones((6, 1)), [1.0, 1.0]),
        (np.full((5, 1), np.nan), np.ones((6, 1)), [1.0]),
        (np.eye(5), np.ones((6, 1)), [1.0, 0, 0, 0, 0]),
        (np.eye(2)[[0, 0, 0, 0, 1]], np.ones((6, 1)), [-1.0, 1.0]),
    ],
)
def test_designs_that_cannot_answer(
    personas: np.ndarray, questions: np.ndarray, of_personas: list[float]
) -> None:
    table = np.random.default_rng(0).normal(size=(5, 6))
    with pytest.raises(DataError):
        crossed_effect(table, personas, questions, of_personas, [1.0])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 2**31), st.floats(-2, 2), st.floats(0.1, 9))
def test_shift_and_scale(people: int, questions: int, seed: int, shift: float, scale: float) -> None:
    table = (np.random.default_rng(seed).random((people, questions)) < 0.6).astype(float)
    found, moved = crossed_mean(table), crossed_mean(scale * table + shift)
    assert moved.estimate == pytest.approx(scale * found.estimate + shift, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(scale * (found.high - found.low), abs=1e-6)
