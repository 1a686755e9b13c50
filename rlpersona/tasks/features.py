"""What a per-question policy knows of a question: its domain and its words, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError
from rlpersona.tasks.identity import digest
from rlpersona.types import Question

BUCKETS = 1 << 18


def question_features(questions: Sequence[Question], dimensions: int = 64) -> npt.NDArray[np.float64]:
    """Features of shape (questions, dimensions), each row of length 1 (0 without any words).

    A row is the sum of two unit vectors scaled by sqrt(1/2): the domain's, a fixed random direction
    (feature hashing by a sign per dimension), and that of the text's words, without stop words: hashed,
    then brought down to `dimensions` by a fixed random projection (Achlioptas 2003; Weinberger et al.
    2009). Both depend on nothing but the question itself, so that a question has the same features in
    every run and split. Random directions are nearly orthogonal: dot products err by about
    1 / sqrt(dimensions). A question without domain or words has the other part alone.
    """
    if dimensions < 1:
        raise ConfigError(f"dimensions={dimensions}: at least one is needed", "Give e.g. 64.")
    domains = {question.domain for question in questions}
    directions = {domain: _direction(domain, dimensions) for domain in domains}
    about = np.array([directions[question.domain] for question in questions]).reshape(-1, dimensions)
    both = _unit(_words([question.text for question in questions], dimensions)) + about
    return _unit(both)


def _direction(domain: str, dimensions: int) -> npt.NDArray[np.float64]:
    """The domain's unit vector; zero for no domain."""
    if not domain:
        return np.zeros(dimensions)
    rng = np.random.default_rng(int(digest("domain", domain)[:16], 16))
    return np.asarray(rng.choice([-1.0, 1.0], dimensions) / np.sqrt(dimensions))


def _words(texts: Sequence[str], dimensions: int) -> npt.NDArray[np.float64]:
    """Hashed word counts times a random sign per bucket and dimension, drawn for the buckets in use."""
    if not texts:
        return np.zeros((0, dimensions))
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(
        n_features=BUCKETS, stop_words="english", alternate_sign=False, norm="l2"
    ).transform(texts)
    used = np.unique(hashed.indices)
    signs = np.array([np.random.default_rng(bucket).choice([-1.0, 1.0], dimensions) for bucket in used])
    return np.asarray(hashed[:, used] @ signs.reshape(-1, dimensions))


def _unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0))
