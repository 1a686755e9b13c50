"""The benchmark's world, small: what `python benchmarks/bandits.py` measures with 100 replicates."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.bandits import ARMS, CONTENDERS, gain, world

SEEDS = range(5)


def mean_gain(name: str, spread: float, budget: int) -> float:
    contender = next(c for c in CONTENDERS if c.algorithm == name)
    return float(np.mean([gain(contender, seed, spread, budget) for seed in SEEDS]))


def test_features_explain_half_of_the_variance() -> None:
    features, accuracy = world(0, 0.02)
    rows = np.column_stack([np.ones(ARMS), features])
    fit = rows @ np.linalg.lstsq(rows, accuracy, rcond=None)[0]
    assert accuracy.std() == pytest.approx(0.02, rel=0.03)
    assert fit.var() / accuracy.var() == pytest.approx(0.5, abs=0.03)
    assert 0.66 < accuracy.max() < 0.70


def test_a_model_of_the_features_finds_what_halving_alone_does_not() -> None:
    hierarchical, halving = (mean_gain(name, 0.02, 100_000) for name in ("hierarchical", "halving"))
    assert hierarchical > 6.2  # the best of all is about 7.6; 100 replicates give 6.9 +- 0.1
    assert hierarchical > halving + 0.2
    assert mean_gain("uniform", 0.02, 100_000) < 3.5


def test_the_originals_settings_find_nothing() -> None:
    assert mean_gain("reinforce", 0.01, 5_000) < 1.5  # REINFORCE by SGD, 5 x 10, is the first listed
