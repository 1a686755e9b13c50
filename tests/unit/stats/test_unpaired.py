from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from rlpersona.errors import DataError
from rlpersona.stats.unpaired import welch_difference


def test_by_hand() -> None:
    # Means 2 and 6, squared errors 1/3 and 4/3: freedom (5/3)^2 / ((1/9 + 16/9) / 2) = 50/17.
    found, p = welch_difference([1, 2, 3], [4, 6, 8, np.nan])
    assert found.estimate == pytest.approx(-4)
    assert found.n == 6
    assert (found.high - found.low) / 2 == pytest.approx(
        special.stdtrit(50 / 17, 0.975) * (5 / 3) ** 0.5
    )
    assert p == pytest.approx(0.054787, abs=1e-6)


def test_without_spread_it_is_a_point() -> None:
    found, p = welch_difference([1, 1], [0, 0])
    assert (found.low, found.high, p) == (1, 1, 0)
    assert welch_difference([1, 1], [1, 1])[1] == 1
    with pytest.raises(DataError):
        welch_difference([1], [1, 2])


def test_it_covers_where_spreads_differ() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(1000):
        found, _ = welch_difference(rng.normal(1, 1, 40), rng.normal(0.5, 4, 12))
        covered += found.low <= 0.5 <= found.high
    assert 0.93 <= covered / 1000 <= 0.97
