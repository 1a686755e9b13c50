"""How far a model moved: along the axis, of the axis, and as a whole; and what noise alone would show.

Arrays of vectors end in (layers, d). What is compared must be the same span of the same text: means
over prompts and means over responses differ by far more than any training moves them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlpersona.axis.cka import debiased_cka
from rlpersona.axis.noise import Ceiling, expected_cosine, rotation_interval, split_half
from rlpersona.axis.resampling import CrossedInterval, crossed_bootstrap
from rlpersona.axis.vectors import Floats, cosine, project
from rlpersona.errors import DataError

__all__ = [
    "Ceiling",
    "CrossedInterval",
    "crossed_bootstrap",
    "debiased_cka",
    "expected_cosine",
    "projection_drift",
    "random_directions",
    "rotation",
    "rotation_interval",
    "split_half",
]


def projection_drift(
    before: npt.ArrayLike, after: npt.ArrayLike, direction: npt.ArrayLike, unit: npt.ArrayLike = 1.0
) -> Floats:
    """Movement along `direction` (layers, d) from `before` to `after` (..., layers, d): (..., layers).

    `<after - before, a / |a|> / unit`, exactly 0 where both are equal. `unit` (layers,) is the SD of the
    base's roles (`vectors.role_sd`).
    """
    first, second = np.asarray(before, np.float64), np.asarray(after, np.float64)
    if first.shape != second.shape:
        raise DataError(
            f"activations of shape {first.shape} before and {second.shape} after",
            "Measure the same texts with both models.",
        )
    return project(second - first, direction, unit=unit)


def rotation(frozen: npt.ArrayLike, recomputed: npt.ArrayLike) -> Floats:
    """Cosine (layers,) between the base's axis and a checkpoint's own.

    Noise makes it less than 1 where nothing has turned: read it against `expected_cosine`.
    """
    return cosine(frozen, recomputed)


def random_directions(
    like: npt.ArrayLike, count: int, seed: int = 0, within: npt.ArrayLike | None = None
) -> Floats:
    """Directions (count, layers, d), each as long as `like` (layers, d) at its layer.

    Isotropic; or, with `within` (roles, layers, d), random mixtures of the centred role vectors: they
    lie where personas differ, which is the harder control, since any training moves a model more in
    the directions in which it varies. Across layers the same mixture is used.
    """
    target = np.asarray(like, np.float64)
    generator = np.random.default_rng(seed)
    if within is None:
        drawn = generator.standard_normal((count, *target.shape))
    else:
        roles = np.asarray(within, np.float64)
        if len(roles) < 2 or roles.shape[1:] != target.shape:
            raise DataError(
                f"role vectors of shape {roles.shape} for an axis of {target.shape}",
                "Pass at least two, of the same layers.",
            )
        drawn = np.tensordot(generator.standard_normal((count, len(roles))), roles - roles.mean(0), 1)
    lengths = np.linalg.norm(target, axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        matched: Floats = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True) * lengths
    return matched
