"""What contextual algorithms know of a persona: numbers made of field, era, birth, fame, description."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlpersona.errors import ConfigError, DataError, did_you_mean
from rlpersona.types import Persona

FEATURES = ("field", "era", "birth_year", "fame")
KNOWN = (*FEATURES, "embedding")
RARE = 20

Floats = npt.NDArray[np.float64]


def persona_features(
    personas: Sequence[Persona], use: Sequence[str] = FEATURES, rare: int = RARE
) -> Floats:
    """Features of shape (personas, d): each column with mean 0 and variance 1, never nan.

    `"field"` and `"era"` give an indicator per level; levels of fewer than `rare` personas share one.
    `"birth_year"` and `"fame"` give the number, 0 (the mean) where it is unknown, and an indicator of
    that. `"embedding"` gives the description's, up to 384 (`rlpersona.models.embedding`), 0 without one.
    Columns that are the same for all are left out, so that d may be 0.

    Raises ConfigError for an unknown or repeated feature or if the embedding's packages are absent,
    DataError without personas.
    """
    for name in use:
        if name not in KNOWN:
            raise ConfigError(f"unknown feature '{name}'", did_you_mean(name, KNOWN))
        if list(use).count(name) > 1:
            raise ConfigError(f"feature '{name}' is given twice", "Name each feature once.")
    if not personas:
        raise DataError("there are no personas to describe", "Give at least one.")
    columns = [np.zeros((len(personas), 0))]
    for name in use:
        if name == "embedding":
            columns.append(_embedding(personas))
        elif name in ("field", "era"):
            columns.append(_levels([getattr(person, name) for person in personas], rare))
        else:
            columns.append(_number([getattr(person, name) for person in personas]))
    return standardised(np.hstack(columns))


def standardised(table: Floats) -> Floats:
    """Columns less their mean and divided by their standard deviation; constant ones are left out."""
    centred = table - table.mean(axis=0)
    spread = centred.std(axis=0)
    varies = spread > 1e-9 * np.maximum(1.0, np.abs(table).max(axis=0, initial=0.0))
    return np.asarray(centred[:, varies] / spread[varies])


def _levels(labels: Sequence[str | None], rare: int) -> Floats:
    """One indicator per common level, in alphabetical order, and one for all rare; None has none."""
    counts = Counter(label for label in labels if label)
    common = sorted(label for label, count in counts.items() if count >= rare)
    place = {label: column for column, label in enumerate(common)}
    table = np.zeros((len(labels), len(common) + 1))
    for row, label in enumerate(labels):
        if label:
            table[row, place.get(label, len(common))] = 1.0
    return table


def _number(values: Sequence[float | None]) -> Floats:
    """The number, its mean where it is unknown, and an indicator of that."""
    column = np.array([np.nan if value is None else value for value in values], np.float64)
    known = np.isfinite(column)
    middle = column[known].mean() if known.any() else 0.0
    return np.column_stack([np.where(known, column, middle), ~known])


def _embedding(personas: Sequence[Persona]) -> Floats:
    from rlpersona.models.embedding import DIMENSIONS, embed

    described = [row for row, person in enumerate(personas) if person.description]
    table = np.zeros((len(personas), DIMENSIONS))
    if described:
        table[described] = embed([personas[row].description or "" for row in described])
    return table
