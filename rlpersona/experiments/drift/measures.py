"""What the cells of a checkpoint say beside those of the base: movement, rotation, likeness, controls.

Both were read on answers to the same prompts; a cell that either lacks counts for neither. Movements are
in units of the standard deviation of the base's roles along the axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlpersona.axis.drift import (
    crossed_bootstrap,
    debiased_cka,
    expected_cosine,
    projection_drift,
    random_directions,
    rotation,
    rotation_interval,
    split_half,
)
from rlpersona.axis.vectors import Floats, Pca, axis, project, role_sd
from rlpersona.config import DriftConfig
from rlpersona.errors import DataError
from rlpersona.experiments.drift.cells import Cells
from rlpersona.experiments.drift.rotation import corrected_cosine

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]
COMPONENTS = 3  # principal components that are followed
FROZEN, RECOMPUTED = "frozen", "recomputed"


@dataclass(frozen=True)
class Yardstick:
    """What everything is measured with: the axis of the base, its roles and traits, by layer.

    `direction` is (layers, d), `roles` (roles, layers, d), `traits` name -> (layers, d); `layer` is that
    of headlines.
    """

    direction: Floats
    roles: Floats
    traits: Mapping[str, Floats]
    layer: int

    def at(self, layer: int) -> Yardstick:
        """The same for one layer alone, which keeps its place as the only one."""
        cut = slice(layer, layer + 1)
        traits = {name: np.asarray(vector)[cut] for name, vector in self.traits.items()}
        return Yardstick(self.direction[cut], self.roles[:, cut], traits, 0)


@dataclass(frozen=True)
class Reading:
    """A checkpoint on one kind of text: `summary` for JSON, `table` with a row for each layer,
    direction, axis, role and question, `places` with a row a role."""

    summary: Json
    table: pd.DataFrame
    places: pd.DataFrame


def measure(
    base: Cells,
    after: Cells,
    roles: Sequence[str],
    questions: Sequence[str],
    yard: Yardstick,
    pca: Pca,
    config: DriftConfig,
) -> Reading:
    """Compare a checkpoint's cells with the base's, layer by layer.

    The first of `roles` is the default. Raises DataError where the two have no answered cell in common.
    """
    import pandas as pd

    tables, by_layer, headline, places = [], [], {}, pd.DataFrame()
    for layer in range(base.layers):
        first, second = _common(base.layer(layer), after.layer(layer))
        ruler = yard.at(layer)
        main = layer == yard.layer
        told, moves = _layer(first, second, ruler, config)
        by_layer.append({"layer": layer, **told})
        wanted = moves if main else {key: moves[key] for key in moves if key[0] == "axis"}
        for (direction, kind), (positions, drift) in wanted.items():
            tables.append(_rows(layer, direction, kind, roles, questions, positions, drift))
        if main:
            headline = _headline(first, second, moves, ruler, config)
            places = _places(first, second, roles, pca, ruler)
    summary = {**headline, "by_layer": by_layer}
    return Reading(summary, pd.concat(tables, ignore_index=True), places)


def _common(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Both with nan where either has none, and a layer axis: (roles, questions, 1, d)."""
    here = np.asarray(np.isfinite(first + second).all(axis=-1), bool)
    if not here[0].any() or not here[1:].any():
        raise DataError(
            "no question has an answer of the default, or no role has one",
            "Use more questions, or a longer max_tokens.",
        )
    kept = here[..., None, None]
    return (
        np.where(kept, first[:, :, None].astype(np.float64), np.nan),
        np.where(kept, second[:, :, None].astype(np.float64), np.nan),
    )


def _layer(
    first: Floats, second: Floats, yard: Yardstick, config: DriftConfig
) -> tuple[Json, dict[tuple[str, str], tuple[Floats, Floats]]]:
    """Numbers of one layer, and positions and movements (roles, questions) by direction and axis."""
    unit = role_sd(yard.roles, yard.direction)
    origin = np.nanmean(first[0], axis=0)
    moves = {("axis", FROZEN): _moved(first, second, yard.direction, origin, unit)}
    for name, vector in yard.traits.items():
        spread = role_sd(yard.roles, vector)
        moves[name, FROZEN] = _moved(first, second, vector, origin, spread)
    flat = [cells[np.isfinite(cells[:, :, 0, 0])][:, 0] for cells in (first, second)]
    told: Json = {
        "default": _number(np.nanmean(moves["axis", FROZEN][1][0])),
        "roles": _number(np.nanmean(moves["axis", FROZEN][1][1:])),
        "length": _number(np.linalg.norm(_move_of_default(first, second)) / unit[0]),
        "cka": _number(debiased_cka(*flat)) if len(flat[0]) > 3 else None,
        "cosine": None,
        "expected": None,
        "corrected": None,
    }
    if config.recompute:
        before, now = (_axis(cells) for cells in (first, second))
        own_unit = role_sd(_role_means(first), now)
        moves["axis", RECOMPUTED] = _moved(first, second, now, origin, own_unit)
        told["cosine"] = _number(rotation(before, now)[0])
        if first.shape[1] >= 4:
            halves = [split_half(cells[0], cells[1:], seed=config.seed) for cells in (first, second)]
            told["expected"] = _number(expected_cosine(*halves)[0])
            told["corrected"] = corrected_cosine(first, second, config.seed)
    return told, moves


def _headline(
    first: Floats,
    second: Floats,
    moves: Mapping[tuple[str, str], tuple[Floats, Floats]],
    yard: Yardstick,
    config: DriftConfig,
) -> Json:
    """Intervals and controls at the layer of headlines."""
    found: Json = {"default": {}, "roles": {}, "traits": {}}
    for (direction, kind), (_, drift) in moves.items():
        for who, part in (("default", drift[:1]), ("roles", drift[1:])):
            crossed = crossed_bootstrap(
                part, resamples=config.resamples, seed=config.seed, level=config.level
            )
            told = {
                "estimate": _number(crossed.estimate),
                "low": _number(crossed.low),
                "high": _number(crossed.high),
                "roles": int(np.isfinite(part).any(axis=1).sum()),
                "questions": int(np.isfinite(part).any(axis=0).sum()),
            }
            if direction == "axis":
                found[who][kind] = told
            elif who == "default":
                found["traits"][direction] = told
    found["control"] = _controls(_move_of_default(first, second), yard, config)
    found["rotation"] = None
    if config.recompute and min(len(first) - 1, first.shape[1]) > 1:
        turned = rotation_interval((first[0], first[1:]), (second[0], second[1:]), config.level)
        found["rotation"] = {
            "estimate": _number(turned.estimate[0]),
            "low": _number(turned.low[0]),
            "high": _number(turned.high[0]),
        }
    return found


def _controls(move: Floats, yard: Yardstick, config: DriftConfig) -> Json:
    """The default's mean movement along random directions: anywhere, and within the span of the roles.

    `low` and `high` hold the middle `level` of them, `p` the share of directions along which it moved at
    least as far as along the axis, the axis counted among them. The second is the harder control: any
    training moves a model more where it varies.
    """
    unit = role_sd(yard.roles, yard.direction)[0]
    along = abs(float(project(move, yard.direction)[0])) / unit
    found = {}
    for name, within in (("anywhere", None), ("personas", yard.roles)):
        directions = random_directions(yard.direction, config.directions, config.seed, within)
        drawn = _along(move, directions) / unit
        low, high = np.quantile(drawn, [(1 - config.level) / 2, (1 + config.level) / 2])
        reach = (np.abs(drawn) >= along - 1e-12).sum()
        found[name] = {
            "low": _number(low),
            "high": _number(high),
            "p": float((1 + reach) / (1 + len(drawn))),
            "directions": len(drawn),
        }
    return found


def _along(move: Floats, directions: Floats) -> Floats:
    """Movement (1, d) along each of directions (count, 1, d): (count,)."""
    lengths = np.linalg.norm(directions[:, 0], axis=-1)
    found: Floats = directions[:, 0] @ move[0] / lengths
    return found


def _moved(
    first: Floats, second: Floats, direction: Floats, origin: Floats, unit: Floats
) -> tuple[Floats, Floats]:
    """Where the checkpoint's cells lie along a direction, and how far they moved: (roles, questions).

    Places are counted from `origin`, the base's default on the same prompts."""
    positions = project(second, direction, origin=origin, unit=unit)[..., 0]
    return positions, projection_drift(first, second, direction, unit)[..., 0]


def _move_of_default(first: Floats, second: Floats) -> Floats:
    """Mean movement (1, d) of the default over the questions."""
    found: Floats = np.nanmean(second[0] - first[0], axis=0)
    return found


def _role_means(cells: Floats) -> Floats:
    """Vectors (roles, 1, d) of the roles that have any cell, each question counting alike."""
    kept = cells[1:][np.isfinite(cells[1:, :, 0, 0]).any(axis=1)]
    found: Floats = np.nanmean(kept, axis=1)
    return found


def _axis(cells: Floats) -> Floats:
    """The axis (1, d) of cells."""
    return axis(np.nanmean(cells[0], axis=0), _role_means(cells)).astype(np.float64)


def _places(
    first: Floats, second: Floats, roles: Sequence[str], pca: Pca, yard: Yardstick
) -> pd.DataFrame:
    """Each role's vector on the base's principal components, and along its axis, before and after."""
    import pandas as pd

    there = np.asarray(np.isfinite(first[:, :, 0, 0]).any(axis=1), bool)
    unit = role_sd(yard.roles, yard.direction)
    origin = np.nanmean(first[0], axis=0)
    columns: dict[str, Any] = {"role": [role for role, kept in zip(roles, there, strict=True) if kept]}
    for prefix, cells in (("base_", first), ("", second)):
        vectors = np.nanmean(cells[there], axis=1)
        scores = pca.transform(vectors[:, 0])[:, :COMPONENTS]
        for number in range(scores.shape[1]):
            columns[f"{prefix}pc{number + 1}"] = scores[:, number]
        along = project(vectors, yard.direction, origin=origin, unit=unit)
        columns[f"{prefix}projection"] = along[:, 0]
    return pd.DataFrame(columns)


def _rows(
    layer: int,
    direction: str,
    kind: str,
    roles: Sequence[str],
    questions: Sequence[str],
    positions: Floats,
    drift: Floats,
) -> pd.DataFrame:
    """The cells of one layer along one direction, a row each; those without an answer are left out."""
    import pandas as pd

    role, question = np.nonzero(np.isfinite(drift))
    return pd.DataFrame(
        {
            "layer": np.int16(layer),
            "direction": pd.Categorical([direction] * len(role)),
            "axis": pd.Categorical([kind] * len(role), categories=[FROZEN, RECOMPUTED]),
            "role": pd.Categorical.from_codes(role, pd.Index(roles)),
            "question": pd.Categorical.from_codes(question, pd.Index(questions)),
            "projection": positions[role, question].astype(np.float32),
            "drift": drift[role, question].astype(np.float32),
        }
    )


def _number(value: Any) -> float | None:
    """A number for JSON; None where there is none."""
    number = float(value)
    return number if np.isfinite(number) else None
