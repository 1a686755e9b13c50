"""Activations to disk as they come, so that memory does not grow with the number of responses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError

NAME = "activations"


def save_stream(
    path: str | Path,
    shape: tuple[int, int, int],
    stream: Iterable[tuple[Sequence[int], npt.NDArray[np.float32]]],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write `stream` (positions, (rows, layers, d)) as the float32 tensor "activations" of a file.

    `shape` is (responses, layers, d); every position comes once, in any order. The file is safetensors
    (github.com/huggingface/safetensors, "Format"), whole or not there; `safe_open` reads parts of it.

    Raises:
        DataError: a position that is missing, comes twice or is none; rows of another shape.
    """
    count, layers, width = shape
    row = layers * width * 4
    entry = {"dtype": "F32", "shape": list(shape), "data_offsets": [0, count * row]}
    header: dict[str, object] = {NAME: entry}
    if metadata:
        header["__metadata__"] = dict(metadata)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    written = np.zeros(count, bool)
    partial = Path(f"{path}.partial")
    with open(partial, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        start = file.tell()
        file.truncate(start + count * row)
        for positions, values in stream:
            where = np.asarray(positions, int)
            fits = values.shape == (len(where), layers, width) and ((where >= 0) & (where < count)).all()
            if not fits or written[where].any() or len(np.unique(where)) < len(where):
                raise DataError(
                    f"activations of shape {values.shape} at {where.tolist()[:5]} do not fit {shape}",
                    "Give every response once.",
                )
            written[where] = True
            for at, value in zip(where.tolist(), values, strict=True):
                file.seek(start + at * row)
                file.write(np.ascontiguousarray(value, "<f4").tobytes())
    if not written.all():
        raise DataError(f"{(~written).sum()} of {count} responses have no activations")
    os.replace(partial, path)
    return Path(path)
