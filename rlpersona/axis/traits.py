"""Trait vectors: what separates answers that show a trait from answers that suppress it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from rlpersona.axis.vectors import Floats, Floats32, project, role_vector
from rlpersona.errors import DataError


def trait_vector(
    positive: npt.ArrayLike,
    negative: npt.ArrayLike,
    kept_positive: npt.ArrayLike | None = None,
    kept_negative: npt.ArrayLike | None = None,
    least: int = 1,
) -> Floats32 | None:
    """mean(trait-eliciting) - mean(trait-suppressing) of responses (n, layers, d): (layers, d).

    The difference of means of Chen et al. 2025 (persona vectors, arXiv:2507.21509, section 2). None
    where either side keeps fewer than `least` responses.
    """
    high = role_vector(positive, kept_positive, least)
    low = role_vector(negative, kept_negative, least)
    if high is None or low is None:
        return None
    return high - low


def trait_scores(
    activations: npt.ArrayLike,
    traits: Mapping[str, npt.ArrayLike],
    *,
    origin: npt.ArrayLike = 0.0,
    units: Mapping[str, npt.ArrayLike] | None = None,
) -> dict[str, Floats]:
    """Projections of vectors (..., layers, d) on every trait's direction: name -> (..., layers).

    `origin` (layers, d) is taken off first; `units[name]` (layers,) is what counts as one, such as the
    distance between the trait's two sides (`trait_unit`).

    Raises:
        DataError: `units` lacks a trait.
    """
    missing = set(traits) - set(traits if units is None else units)
    if missing:
        raise DataError(f"no unit for trait '{min(missing)}'", "Give one for every trait.")
    return {
        name: project(activations, vector, origin=origin, unit=1.0 if units is None else units[name])
        for name, vector in traits.items()
    }


def trait_unit(vector: npt.ArrayLike) -> Floats:
    """Length (layers,) of a trait vector: the distance between the means of its two sides."""
    length: Floats = np.linalg.norm(np.asarray(vector, np.float64), axis=-1)
    return length
