from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlpersona.errors import ConfigError
from rlpersona.stats import null_maximum, null_maximum_quantile


def test_by_hand_for_two_coins() -> None:
    # Two arms, one question, p = 1/2: the best is right with chance 3/4.
    assert null_maximum(2, 1, 0.5) == pytest.approx(0.25)
    assert null_maximum(1, 37, 0.3) == pytest.approx(0, abs=1e-12)
    assert null_maximum(9, 10, 1.0) == null_maximum(9, 10, 0.0) == 0


def test_the_figure_of_the_originals() -> None:
    assert null_maximum(2174, 500, 0.6) == pytest.approx(0.075, abs=0.002)


@pytest.mark.parametrize(("arms", "questions", "p"), [(10, 20, 0.6), (300, 100, 0.35), (2174, 500, 0.6)])
def test_simulation(arms: int, questions: int, p: float) -> None:
    best = np.random.default_rng(0).binomial(questions, p, (1000, arms)).max(axis=1) / questions - p
    error = best.std() / np.sqrt(len(best))
    assert null_maximum(arms, questions, p) == pytest.approx(best.mean(), abs=4 * error)
    line = null_maximum_quantile(arms, questions, p)
    slack = 4 * np.sqrt(0.05 * 0.95 / len(best))
    assert (best <= line + 1e-9).mean() >= 0.95 - slack
    assert (best <= line - 0.5 / questions).mean() < 0.95 + slack


def test_more_arms_stand_out_more_and_more_questions_less() -> None:
    assert null_maximum(10, 100, 0.6) < null_maximum(100, 100, 0.6) < null_maximum(10_000, 100, 0.6)
    assert null_maximum(100, 10_000, 0.6) < 0.02 < null_maximum(100, 100, 0.6)
    assert null_maximum(50, 100, 0.6) < null_maximum_quantile(50, 100, 0.6)


@pytest.mark.parametrize(
    "world", [(0, 5, 0.5), (5, 0, 0.5), (5, 5, -0.1), (5, 5, 1.1), (5, 5, float("nan"))]
)
def test_worlds_that_are_none(world: Any) -> None:
    for call in (null_maximum, null_maximum_quantile):
        with pytest.raises(ConfigError):
            call(*world)
    with pytest.raises(ConfigError):
        null_maximum_quantile(5, 5, 0.5, 1.0)
