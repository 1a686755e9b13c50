from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlpersona.errors import DataError
from rlpersona.stats import benjamini_hochberg, holm


def test_by_hand() -> None:
    p = [0.04, 0.01, 0.03, 0.005]
    # Sorted .005 .01 .03 .04: Holm 4x, 3x, 2x, 1x, kept rising; BH 4/1, 4/2, 4/3, 4/4, kept falling.
    assert holm(p) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx([0.04, 0.02, 0.04, 0.02])


def test_benjamini_hochberg_1995_example() -> None:
    """The fifteen p-values of the paper: Bonferroni and Holm reject 3 at .05, BH 4."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344]
    p += [0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    assert (holm(p) <= 0.05).sum() == 3
    assert (benjamini_hochberg(p) <= 0.05).sum() == 4


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30), st.sampled_from([0.01, 0.05, 0.2]))
def test_adjusted_values_decide_as_the_procedures_do(p: list[float], level: float) -> None:
    for adjusted in (holm(p), benjamini_hochberg(p)):
        assume(not np.isclose(adjusted, level, rtol=1e-9).any())
    ranked = sorted(range(len(p)), key=lambda i: p[i])
    stepped: set[int] = set()
    for step, i in enumerate(ranked):
        if p[i] * (len(p) - step) > level:
            break
        stepped.add(i)
    assert {int(i) for i in np.flatnonzero(holm(p) <= level)} == stepped
    passing = [step for step, i in enumerate(ranked) if p[i] * len(p) / (step + 1) <= level]
    screened = set(ranked[: passing[-1] + 1]) if passing else set()
    assert {int(i) for i in np.flatnonzero(benjamini_hochberg(p) <= level)} == screened


@pytest.mark.parametrize("call", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [[-0.1], [1.1], [float("nan")], 0.5, [[0.5]]])
def test_what_is_no_p_value(call: Any, p: Any) -> None:
    with pytest.raises(DataError):
        call(p)
