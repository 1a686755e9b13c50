from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from rlpersona.axis.streaming import save_stream
from rlpersona.errors import DataError

VALUES = np.random.default_rng(0).standard_normal((7, 3, 5)).astype(np.float32)


@pytest.mark.parametrize("metadata", [None, {"base": "nano", "note": "drei Wörter"}])
def test_what_is_streamed_out_of_order_is_read_back(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    parts = [([6, 0], VALUES[[6, 0]]), ([3], VALUES[[3]]), ([1, 2, 5, 4], VALUES[[1, 2, 5, 4]])]
    path = save_stream(tmp_path / "a.safetensors", VALUES.shape, iter(parts), metadata)
    np.testing.assert_array_equal(load_file(path)["activations"], VALUES)
    with safe_open(path, "np") as file:
        assert file.metadata() == metadata
        np.testing.assert_array_equal(file.get_slice("activations")[2:4, 1], VALUES[2:4, 1])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([([0, 1], VALUES[:2])], "5 of 7 responses have no activations"),
        ([([0, 1], VALUES[:2]), ([1], VALUES[:1])], "do not fit"),
        ([([2, 2], VALUES[:2])], "do not fit"),
        ([([7], VALUES[:1])], "do not fit"),
        ([([0], VALUES[:1, :2])], "do not fit"),
    ],
)
def test_a_stream_with_a_mistake_leaves_no_file(tmp_path: Path, parts: object, message: str) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(DataError, match=message):
        save_stream(path, VALUES.shape, iter(parts))  # type: ignore[call-overload]
    assert not path.exists()
