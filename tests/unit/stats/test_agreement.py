from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.stats import agreement


def labels_of(table: list[list[int]]) -> tuple[list[int], list[int]]:
    cells = [(i, j) for i, row in enumerate(table) for j, n in enumerate(row) for _ in range(n)]
    return [i for i, _ in cells], [j for _, j in cells]


def test_a_table_by_hand() -> None:
    # Two readers of 50 proposals: both yes 20, both no 15. p_o = .7, p_e = .5 * .6 + .5 * .4 = .5.
    found = agreement(*labels_of([[20, 5], [10, 15]]))
    assert found.share.estimate == pytest.approx(0.7)
    assert found.kappa is not None
    assert found.kappa.estimate == pytest.approx(0.4)


def test_the_published_table_of_fleiss_cohen_and_everitt() -> None:
    """Fleiss, Cohen & Everitt (1969): 200 patients, three diagnoses; kappa .429, variance .002885."""
    shares = np.array([[0.53, 0.05, 0.02], [0.11, 0.14, 0.05], [0.01, 0.06, 0.03]])
    found = agreement(*labels_of((shares * 200).round().astype(int).tolist()))
    assert found.kappa is not None
    assert found.kappa.n == 200
    assert found.kappa.estimate == pytest.approx(0.429, abs=5e-4)
    error = (found.kappa.high - found.kappa.low) / 2 / 1.959964
    assert error**2 == pytest.approx(0.002885, abs=2e-6)


def test_one_label_throughout_leaves_no_chance_to_beat() -> None:
    found = agreement(["a"] * 9, ["a"] * 9)
    assert found.kappa is None
    assert found.share.estimate == 1


def test_independent_raters_agree_by_chance_alone() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        first, second = (rng.random(150) < 0.3).tolist(), (rng.random(150) < 0.4).tolist()
        kappa = agreement(first, second).kappa
        assert kappa is not None
        covered += kappa.contains(0)
    assert 270 <= covered <= 297


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("abc")), min_size=1, max_size=40))
def test_wild_labels(pairs: list[tuple[str, str]]) -> None:
    first, second = [one for one, _ in pairs], [other for _, other in pairs]
    found, turned = agreement(first, second), agreement(second, first)
    assert found.share == turned.share
    if found.kappa is None:
        assert len(set(first + second)) == 1
    else:
        assert turned.kappa is not None
        assert -1 <= found.kappa.low <= found.kappa.estimate <= found.kappa.high <= 1
        assert found.kappa.estimate == pytest.approx(turned.kappa.estimate)


@pytest.mark.parametrize(("first", "second"), [([], []), (["a"], ["a", "b"])])
def test_labels_that_do_not_match(first: list[str], second: list[str]) -> None:
    with pytest.raises(DataError):
        agreement(first, second)
