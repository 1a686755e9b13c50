"""How alike answers and references are in meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError
from rlpersona.models.embedding import embed as embed_locally

Embed = Callable[[Sequence[str]], npt.NDArray[np.float64]]


def similarity(
    answers: Sequence[str], references: Sequence[str], embed: Embed = embed_locally
) -> npt.NDArray[np.float64]:
    """Cosine of each answer's embedding and its reference's, shape (n,), between -1 and 1.

    u.v / |u||v|. An empty text means nothing, so it has no likeness: nan. The embedding is MiniLM on
    this machine unless `embed`, texts to vectors of shape (n, d), is another. DataError if the two are
    of different length or the vectors do not fit the texts.
    """
    if len(answers) != len(references):
        raise DataError(
            f"{len(answers)} answers and {len(references)} references",
            "Give one reference to each answer.",
        )
    result = np.full(len(answers), np.nan)
    rows = [i for i in range(len(answers)) if answers[i].strip() and references[i].strip()]
    if not rows:
        return result
    texts = list(dict.fromkeys(text for i in rows for text in (answers[i], references[i])))
    vectors = np.asarray(embed(texts), dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=1) if vectors.ndim == 2 else np.zeros(0)
    if len(lengths) != len(texts) or not np.all(lengths > 0):
        raise DataError(
            f"{len(texts)} texts got embeddings of shape {vectors.shape}, some of them zero or missing",
            "The embedding must give one vector to each text.",
        )
    unit = vectors / lengths[:, None]
    place = {text: row for row, text in enumerate(texts)}
    left, right = ([place[side[i]] for i in rows] for side in (answers, references))
    result[rows] = np.clip(np.einsum("nd,nd->n", unit[left], unit[right]), -1, 1)
    return result
