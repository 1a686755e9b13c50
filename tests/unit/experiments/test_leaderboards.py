"""Agreement of two leaderboards, against hand-computed values and planted truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from rlpersona.experiments.bandit.leaderboards import correlation, distance, overlap, split_half


def test_overlap_beside_chance_by_hand() -> None:
    first, second = pd.Index(list("abcdefgh")), pd.Index(list("bahgfedc"))
    found = overlap(first, second, 2)
    assert found is not None
    assert found["shared"] == ["a", "b"]
    assert found["expected"] == pytest.approx(4 / 8)
    assert found["p"] == pytest.approx(1 / math.comb(8, 2))
    assert overlap(first, second, 8) is None
    nobody = overlap(first, pd.Index(list("hgfedcba")), 4)
    assert nobody is not None
    assert (nobody["shared"], nobody["p"]) == ([], pytest.approx(1))


def test_rank_correlation_by_hand() -> None:
    # Ranks 1..5 against 2,1,4,3,5: sum d^2 = 4, rho = 1 - 24/120; 8 pairs agree, 2 do not.
    found = correlation(pd.Series([1, 2, 3, 4, 5.0]), pd.Series([20, 10, 40, 30, 99.0]), 0.9, 0.95)
    assert found is not None
    rho = found["spearman"]
    assert rho["estimate"] == pytest.approx(0.8)
    assert found["kendall"] == pytest.approx(0.6)
    reach = 1.959964 * math.sqrt((1 + 0.32) / 2)
    assert rho["low"] == pytest.approx(math.tanh(math.atanh(0.8) - reach), abs=1e-6)
    assert found["disattenuated"] == pytest.approx(0.8 / 0.9)


def test_a_correlation_without_anything_to_correlate_is_none() -> None:
    flat, rising = pd.Series([1.0] * 6), pd.Series(range(6), dtype=float)
    assert correlation(flat, rising, None, 0.95) is None
    assert correlation(rising[:3], rising[:3], None, 0.95) is None
    same = correlation(rising, rising, 0.1, 0.95)
    assert same is not None
    assert same["spearman"]["estimate"] == pytest.approx(1)
    assert same["disattenuated"] is None


def test_the_interval_covers_a_planted_correlation() -> None:
    rng, truth, covered = np.random.default_rng(0), 0.6, 0
    spearman = 6 / math.pi * math.asin(truth / 2)  # of a bivariate normal
    for _ in range(300):
        x = rng.normal(size=60)
        y = truth * x + math.sqrt(1 - truth**2) * rng.normal(size=60)
        found = correlation(pd.Series(x), pd.Series(y), None, 0.95)
        assert found is not None
        covered += found["spearman"]["low"] <= spearman <= found["spearman"]["high"]
    assert 0.92 <= covered / 300 <= 0.98


def answers(spread: float, arms: int, asked: int, seed: int) -> pd.DataFrame:
    """Every arm answers every question; accuracies are normal around .6."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng([4, 2]).normal(0.6, spread, arms)
    right = rng.random((arms, asked)) < truth[:, None]
    persona, question = np.indices(right.shape)
    return pd.DataFrame(
        {
            "persona": [f"p{k}" for k in persona.ravel()],
            "question": [f"{seed}q{k}" for k in question.ravel()],
            "reward": right.ravel().astype(float),
        }
    )


def test_reliability_is_that_of_classical_test_theory() -> None:
    spread, asked = 0.05, 100
    noise = 0.6 * 0.4 / asked
    expected = spread**2 / (spread**2 + noise)
    found = [split_half(answers(spread, 400, asked, seed)) for seed in range(3)]
    assert np.mean([f for f in found if f is not None]) == pytest.approx(expected, abs=0.08)
    null = split_half(answers(0.0, 400, asked, 0))
    assert null is not None
    assert abs(null) < 0.25


def test_equal_truths_correlate_as_much_as_the_ceiling_says() -> None:
    runs = [answers(0.05, 2000, 150, seed) for seed in (1, 2)]
    halves = [split_half(run) for run in runs]
    assert halves[0] is not None
    assert halves[1] is not None
    means = [run.groupby("persona")["reward"].mean() for run in runs]
    found = correlation(means[0], means[1], math.sqrt(halves[0] * halves[1]), 0.95)
    assert found is not None
    assert found["spearman"]["estimate"] < 0.75
    assert found["disattenuated"] == pytest.approx(1, abs=0.12)


def test_reliability_needs_answers_in_both_halves() -> None:
    once = pd.DataFrame({"persona": list("abcdef"), "question": list("uvwxyz"), "reward": [0, 1.0] * 3})
    assert split_half(once) is None
    failed = answers(0.1, 6, 30, 0).assign(reward=math.nan)
    assert split_half(failed) is None


def test_distances_of_policies_by_hand() -> None:
    found = distance(pd.Series([0.5, 0.5, 0.0]), pd.Series([0.0, 0.5, 0.5]))
    assert found is not None
    assert found["total_variation"] == pytest.approx(0.5)
    assert found["jensen_shannon"] == pytest.approx(0.5)
    assert found["from_uniform"] == pytest.approx([1 / 3, 1 / 3])
    apart = distance(pd.Series([0.25, 0.0]), pd.Series([0.0, 1.0]))
    assert apart is not None
    assert (apart["total_variation"], apart["jensen_shannon"]) == (pytest.approx(1), pytest.approx(1))
    assert apart["mass"] == [0.25, 1.0]
    assert distance(pd.Series([0.0]), pd.Series([1.0])) is None
    same = distance(pd.Series([0.2, 0.8]), pd.Series([0.1, 0.4]))
    assert same is not None
    assert same["jensen_shannon"] == pytest.approx(0, abs=1e-12)
