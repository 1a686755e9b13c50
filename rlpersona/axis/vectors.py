"""Role vectors, the Assistant Axis, the space of personas, and what lies how far along the axis.

After Lu et al. 2026 (the Assistant Axis). Arrays of vectors end in (layers, d): the residual stream
after each block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rlpersona.errors import DataError

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
SHARES = (0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Pca:
    """Principal components of the role vectors of one layer.

    `mean` is (d,), `components` (k, d) with rows of length 1, `variance_share` (k,) descending and
    summing to 1. `dims[s]` is the least number of components that hold the share s of the variance.
    """

    mean: Floats
    components: Floats
    variance_share: Floats
    dims: Mapping[float, int]

    def transform(self, vectors: npt.ArrayLike) -> Floats:
        """Coordinates (..., k) of vectors (..., d) of the same layer."""
        placed: Floats = (np.asarray(vectors, np.float64) - self.mean) @ self.components.T
        return placed


def role_vector(
    activations: npt.ArrayLike, kept: npt.ArrayLike | None = None, least: int = 1
) -> Floats32 | None:
    """Mean (layers, d) over the responses (n, layers, d) that `kept` (n,) marks.

    Rows of nan (responses without a token) never count. None where fewer than `least` remain.
    """
    values = np.asarray(activations)
    if values.ndim != 3:
        raise DataError(f"activations of shape {values.shape}", "Pass (responses, layers, d).")
    chosen = np.ones(len(values), bool) if kept is None else np.asarray(kept, bool)
    chosen = chosen & np.isfinite(values).all(axis=(1, 2))
    if chosen.sum() < max(least, 1):
        return None
    return np.asarray(values[chosen].mean(axis=0, dtype=np.float64), np.float32)


def axis(default: npt.ArrayLike, roles: npt.ArrayLike) -> Floats32:
    """The Assistant Axis of each layer: mean(default) - mean(roles), float32 (layers, d).

    `default` is the default's vector (layers, d), or several (k, layers, d) of which the mean is taken;
    `roles` are role vectors (roles, layers, d), the default not among them. It points to the assistant.

    Raises:
        DataError: no roles, or shapes that do not match.
    """
    own, others = np.asarray(default, np.float64), np.asarray(roles, np.float64)
    if own.ndim == 3:
        own = own.mean(axis=0)
    if others.ndim != 3 or not len(others) or own.shape != others.shape[1:]:
        raise DataError(
            f"a default of shape {own.shape} and roles of shape {others.shape}",
            "Pass (layers, d) and (roles, layers, d), with at least one role.",
        )
    return np.asarray(own - others.mean(axis=0), np.float32)


def unit_axis(direction: npt.ArrayLike) -> Floats:
    """Directions (..., d) of length 1; those of length 0 become nan."""
    values = np.asarray(direction, np.float64)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled: Floats = values / length
    return scaled


def project(
    vectors: npt.ArrayLike,
    direction: npt.ArrayLike,
    *,
    origin: npt.ArrayLike = 0.0,
    unit: npt.ArrayLike = 1.0,
) -> Floats:
    """How far vectors (..., layers, d) lie along `direction` (layers, d): (..., layers).

    `<x - origin, a / |a|> / unit`, with `origin` (layers, d) and `unit` a number or (layers,), such as
    `role_sd`. Without them: the length of the shadow, in units of the residual stream.
    """
    moved = np.asarray(vectors, np.float64) - np.asarray(origin, np.float64)
    found: Floats = np.einsum("...ld,ld->...l", moved, unit_axis(direction))
    return found / np.asarray(unit, np.float64)


def role_sd(roles: npt.ArrayLike, direction: npt.ArrayLike) -> Floats:
    """Standard deviation (n - 1) of the role vectors' projections on `direction`, by layer: the unit of
    drift (layers,). Raises DataError for fewer than two roles."""
    placed = project(roles, direction)
    if len(placed) < 2:
        raise DataError(f"{len(placed)} role vectors have no spread", "Make at least two.")
    spread: Floats = placed.std(axis=0, ddof=1)
    return spread


def cosine(a: npt.ArrayLike, b: npt.ArrayLike) -> Floats:
    """Cosine of the angle between directions along the last axis; nan where one has no length."""
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    # The root of a square is exact, so a direction's cosine with itself is exactly 1.
    lengths = np.sqrt(np.sum(left * left, axis=-1) * np.sum(right * right, axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.clip(np.sum(left * right, axis=-1) / lengths, -1, 1)
    return found


def pca(vectors: npt.ArrayLike, layer: int) -> Pca:
    """Principal components of role vectors (roles, layers, d) at one layer, mean-centred.

    There are min(roles - 1, d) of them. A component's sign means nothing; it is the one that makes its
    largest loading positive.

    Raises:
        DataError: fewer than two roles, or roles that are all the same.
    """
    from sklearn.decomposition import PCA

    values = np.asarray(vectors, np.float64)[:, layer]
    if len(values) < 2 or not np.ptp(values, axis=0).any():
        raise DataError(
            f"{len(values)} role vectors span no space", "Make at least two roles that differ."
        )
    fitted = PCA(n_components=min(len(values) - 1, values.shape[1]), svd_solver="full").fit(values)
    share = fitted.explained_variance_ / fitted.explained_variance_.sum()
    held = np.cumsum(share)
    dims = {wanted: int(np.searchsorted(held, wanted - 1e-9) + 1) for wanted in SHARES}
    largest = np.abs(fitted.components_).argmax(axis=1)
    signs = np.sign(fitted.components_[np.arange(len(largest)), largest])
    return Pca(fitted.mean_, fitted.components_ * signs[:, None], share, dims)
