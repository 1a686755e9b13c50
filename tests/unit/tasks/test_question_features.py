from __future__ import annotations

import numpy as np
import pytest

from rlpersona.errors import ConfigError
from rlpersona.tasks.features import question_features
from rlpersona.types import Question


def ask(text: str, domain: str = "") -> Question:
    return Question(text, text, "x", domain=domain)


ASKED = [
    ask("Which planet orbits nearest to the sun?", "physics"),
    ask("How heavy is an electron?", "physics"),
    ask("Who wrote the poem?", "letters"),
    ask("Which planet has rings about the sun?"),
    ask("???"),
]


def test_rows_are_unit_vectors_or_zero() -> None:
    table = question_features(ASKED, 32)
    assert table.shape == (5, 32)
    np.testing.assert_allclose(np.linalg.norm(table, axis=1), [1, 1, 1, 1, 0])


def test_a_question_has_the_same_features_in_any_company() -> None:
    table = question_features(ASKED)
    for row, question in enumerate(ASKED):
        np.testing.assert_array_equal(question_features([question])[0], table[row])
    np.testing.assert_array_equal(question_features(ASKED[::-1])[::-1], table)


def test_likeness_follows_domain_and_words() -> None:
    table = question_features(ASKED, 1024)
    like = table @ table.T
    assert like[0, 1] == pytest.approx(0.5, abs=0.1)  # same domain, no common word
    assert like[0, 2] == pytest.approx(0.0, abs=0.1)
    assert like[0, 3] > 0.2  # common words, one without a domain


def test_domains_are_linearly_separable() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{k}" for k in range(300)]
    asked = [ask(" ".join(rng.choice(words, 8)), f"topic {k % 6}") for k in range(240)]
    table = question_features(asked)
    topic = np.arange(240) % 6
    one_hot = np.eye(6)[topic]
    fit = np.linalg.lstsq(table[:120], one_hot[:120], rcond=None)[0]
    assert ((table[120:] @ fit).argmax(axis=1) == topic[120:]).mean() > 0.9


def test_edges() -> None:
    assert question_features([]).shape == (0, 64)
    with pytest.raises(ConfigError, match="dimensions"):
        question_features(ASKED, 0)
