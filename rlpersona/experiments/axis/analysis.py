"""What the vectors of an axis run say: does the axis set the default apart, and what else is there?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlpersona.axis.vectors import Floats, Pca, cosine, pca, project, role_sd
from rlpersona.config import AxisConfig
from rlpersona.errors import DataError
from rlpersona.experiments.axis.data import plain
from rlpersona.experiments.axis.vectors import Made, Placed, Voice, place
from rlpersona.report.labelling import counter
from rlpersona.stats import crossed_mean, t_interval
from rlpersona.store import Run

if TYPE_CHECKING:
    import pandas as pd

COMPONENTS = 10  # that are written down


def analyse(config: AxisConfig, run: Run, made: Made) -> tuple[dict[str, Any], pd.DataFrame]:
    """The summary, and `pca.parquet`: the default and every role in the space of the roles.

    Positions on the axis are in units of the roles' standard deviation, from the roles' mean.
    """
    data = made.data
    unit, layer = role_sd(data.vectors, data.axis), data.layer
    components = pca(data.vectors, layer)
    places = _places(config, run, made)
    voices = (made.default, *made.roles)
    rows = [_row(config, made, voice, one, unit) for voice, one in zip(voices, places, strict=True)]
    table = _table(rows, components, np.stack([data.default, *data.vectors])[:, layer])
    by_layer = _by_layer(made, unit, separation(places, config.level))
    cosines = cosine(data.axis[layer], components.components)
    nearest = int(np.abs(cosines).argmax())
    summary = {
        "layer": layer,
        "level": config.level,
        "base_hash": data.base_hash,
        "questions": len(made.default.casting.questions),
        "judge": _judge(config),
        "keep": config.keep,
        "least": config.least,
        "default": rows[0],
        "roles": rows[1:],
        "without": [asdict(cast) for cast in made.without],
        "unrated": sum(cast.unrated for cast in (*(v.cast for v in made.roles), *made.without)),
        "layers": by_layer,
        "pca": {
            "variance_share": components.variance_share[:COMPONENTS],
            "dims": components.dims,
            "axis_cosine": cosines[:COMPONENTS],
            "nearest": nearest + 1,
        },
        "traits": {
            name: {"cosine": float(cosine(vector[layer], data.axis[layer]))}
            for name, vector in data.trait_map.items()
        },
    }
    summary["verdict"] = verdict(plain(summary))
    found: dict[str, Any] = plain(summary)
    return found, table


def separation(places: Sequence[Placed], level: float) -> list[dict[str, Any]]:
    """By layer: the share of roles and questions for which the default, the first of `places`, lies
    further up the axis.

    The axis is made of the responses that count to one half of the questions and read on the other
    half, there on all responses, so neither the axis nor the judge has seen what it is read on. One half
    is chance. Roles and questions are both samples (`stats.crossed_mean`); an end beyond 0 or 1 is cut.
    """
    default, *roles = (one.crosswise for one in places)
    others = np.stack(roles)
    won = np.where(default > others, 1.0, np.where(default == others, 0.5, 0.0))
    won[np.isnan(default - others)] = np.nan
    return [separated(table, level) for table in np.moveaxis(won, -1, 0)]  # each (roles, questions)


def separated(table: npt.ArrayLike, level: float) -> dict[str, Any]:
    """The mean of a table (roles, questions) of shares, both taken as samples, as plain values."""
    try:
        found = crossed_mean(table, level)
    except DataError as error:
        return {"estimate": None, "low": None, "high": None, "problem": error.message}
    return {
        "estimate": found.estimate,
        "low": max(0.0, found.low),
        "high": min(1.0, found.high),
        "roles": found.personas,
        "questions": found.questions,
    }


def distances_apart(vectors: npt.ArrayLike) -> Floats:
    """How far each role (roles, layers, d) stands from the others, were it taken for the default.

    (roles, layers): the length of its own axis, in standard deviations of the others along it. Any
    role has an axis; this is what the default's distance is to be held against.
    """
    values = np.asarray(vectors, np.float64)
    found = []
    for at, own in enumerate(values):
        others = np.delete(values, at, axis=0)
        direction = own - others.mean(axis=0)
        found.append(np.linalg.norm(direction, axis=-1) / role_sd(others, direction))
    return np.stack(found)


def verdict(summary: dict[str, Any]) -> str:
    """The result in a sentence."""
    layer = summary["layers"][summary["layer"]]
    held, shares = layer["separation"], summary["pca"]
    below = sum(
        one["projection"]["estimate"] < summary["default"]["projection"]["estimate"]
        for one in summary["roles"]
    )
    shown = held["low"] is not None and held["low"] > 0.5
    place = f"layer {summary['layer']} of {len(summary['layers'])}"
    text = (
        f"The axis {'separates' if shown else 'is not shown to separate'} the assistant from its roles: "
    )
    text += f"at {place} the default stands {layer['distance']:.1f} role SDs above the mean role"
    text += f" and above {below} of {len(summary['roles'])} roles"
    if held["estimate"] is not None:
        text += (
            f"; on questions that did not make the axis it is above in {100 * held['estimate']:.0f} % "
            f"[{100 * held['low']:.0f}, {100 * held['high']:.0f}] of roles and questions"
        )
    near = shares["nearest"]
    text += f". Nearest component: PC{near}, cosine {abs(shares['axis_cosine'][near - 1]):.2f}."
    if summary["without"]:
        text += f" Without a vector: {len(summary['without'])} roles."
    return text


def _places(config: AxisConfig, run: Run, made: Made) -> list[Placed]:
    """Where the default and the roles lie, in this order."""
    found: list[Placed] = []
    with counter("roles placed on the axis") as done:
        for voice in (made.default, *made.roles):
            found.append(place(config, run, made, voice))
            done(len(found), 1 + len(made.roles))
    return found


def _row(config: AxisConfig, made: Made, voice: Voice, found: Placed, unit: Floats) -> dict[str, Any]:
    """A role's counts and its place on the axis, with Student's interval over questions."""
    data, layer = made.data, made.data.layer
    origin = project(data.vectors.mean(axis=0), data.axis)[layer]
    placed = (found.counted[:, layer] - origin) / unit[layer]
    try:
        interval = asdict(t_interval(placed, config.level))
    except DataError:  # the responses that count are to fewer than two questions
        interval = {"estimate": float(np.nanmean(placed)), "low": None, "high": None, "n": 1}
    return {**asdict(voice.cast), "projection": interval}


def _by_layer(made: Made, unit: Floats, held: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By layer: length of the axis, the roles' SD along it, separation, the nearest component; and how
    far apart the roles are themselves (None for two, where one has nobody to vary)."""
    data = made.data
    length = np.linalg.norm(data.axis.astype(np.float64), axis=-1)
    turned = cosine(*made.half_axes)
    apart = distances_apart(data.vectors) if len(data.vectors) > 2 else None
    found = []
    for layer, share in enumerate(held):
        cosines = np.abs(cosine(data.axis[layer], pca(data.vectors, layer).components))
        found.append(
            {
                "length": length[layer],
                "role_sd": unit[layer],
                "distance": length[layer] / unit[layer],
                "roles_apart": None
                if apart is None
                else {
                    "median": np.median(apart[:, layer]),
                    "farther": int((apart[:, layer] > length[layer] / unit[layer]).sum()),
                },
                "halves_cosine": turned[layer],
                "separation": share,
                "nearest": int(cosines.argmax()) + 1,
                "nearest_cosine": cosines.max(),
            }
        )
    return found


def _table(rows: list[dict[str, Any]], components: Pca, vectors: npt.ArrayLike) -> pd.DataFrame:
    import pandas as pd

    placed = components.transform(vectors)[:, :COMPONENTS]
    kinds = ["default", *["role"] * (len(rows) - 1)]
    flat = [
        {k: v for k, v in row.items() if k != "projection"}
        | {"kind": kind, "projection": row["projection"]["estimate"]}
        for kind, row in zip(kinds, rows, strict=True)
    ]
    coordinates = {f"pc{k + 1}": placed[:, k] for k in range(placed.shape[1])}
    return pd.concat([pd.DataFrame(flat), pd.DataFrame(coordinates)], axis=1)


def _judge(config: AxisConfig) -> str:
    if not config.keep:
        return "nobody"
    return "the nano world's rules" if config.judge.by == "rules" else config.judge.model
