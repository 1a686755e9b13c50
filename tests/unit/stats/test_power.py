from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlpersona.errors import ConfigError
from rlpersona.stats import detectable_gain, paired_difference


def test_by_hand() -> None:
    # psi = .1, one arm: d sqrt(1000) = 1.96 sqrt(.1) + .8416 sqrt(.1 - d^2), by two fixed-point steps.
    gain = 0.0
    for _ in range(40):
        gain = (1.959964 * math.sqrt(0.1) + 0.841621 * math.sqrt(0.1 - gain**2)) / math.sqrt(1000)
    assert detectable_gain(1000, 0.6, discordance=0.1) == pytest.approx(gain, rel=1e-6)
    assert gain == pytest.approx(0.028, abs=0.0005)


@pytest.mark.parametrize(("questions", "discordance"), [(400, 0.15), (400, None), (1500, 0.05)])
def test_simulated_power(questions: int, discordance: float | None) -> None:
    p, arms = 0.6, 10
    gain = detectable_gain(questions, p, arms=arms, discordance=discordance)
    psi = discordance or p * (1 - p - gain) + (p + gain) * (1 - p)
    cells = [(psi + gain) / 2, (psi - gain) / 2, 1 - psi]
    rng = np.random.default_rng(1)
    found = 0
    for wins, losses, ties in rng.multinomial(questions, cells, 1500):
        ours = np.repeat([0.9, 0.1, 0.5], [wins, losses, ties])
        theirs = np.repeat([0.1, 0.9, 0.5], [wins, losses, ties])
        found += paired_difference(ours, theirs).p_value < 0.05 / arms
    assert found / 1500 == pytest.approx(0.8, abs=0.05)


def test_what_makes_a_gain_harder_to_see() -> None:
    base = detectable_gain(500, 0.6, discordance=0.2)
    assert detectable_gain(2000, 0.6, discordance=0.2) == pytest.approx(base / 2, rel=0.02)
    assert detectable_gain(500, 0.6, discordance=0.1) < base
    assert detectable_gain(500, 0.6, arms=20, discordance=0.2) > base
    assert detectable_gain(500, 0.6, power=0.9, discordance=0.2) > base
    assert detectable_gain(500, 0.6) > base


def test_a_gain_that_cannot_be_seen_is_infinite() -> None:
    assert detectable_gain(10, 0.95) == math.inf
    assert detectable_gain(3, 0.5, arms=1000) == math.inf


@pytest.mark.parametrize(
    "change",
    [
        *({"questions": 0}, {"arms": 0}, {"p": 0}, {"p": 1.0}, {"p": float("nan")}),
        *({"power": 1}, {"power": 0.01}, {"alpha": 0}, {"discordance": 0}),
    ],
)
def test_plans_that_are_none(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        detectable_gain(**{"questions": 100, "p": 0.5, **change})
