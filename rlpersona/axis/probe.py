"""What is looked at while a model trains: fixed texts of the base, and directions at one layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rlpersona.axis.activations import Chat, Extractor, special_tokens, tokens
from rlpersona.axis.vectors import unit_axis
from rlpersona.errors import DataError, RunError
from rlpersona.models.encode import Encoder

PROBES = 16  # chats; more give steadier numbers and cost more


@dataclass(frozen=True, eq=False)
class Probe:
    """Chats as token ids, and directions to place them on; small, and can be pickled.

    `rows` are (prompt, response) ids. `directions` (k, d) of length 1 at `layer`, called `names`.
    `origins` (k,) is the base's mean projection of these very chats and `units` (k,) what counts as one:
    a model stands at (projection - origin) / unit, which is 0 for the base. `ends` are the ids of the
    special tokens, which end a response and are no part of it.
    """

    rows: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    names: tuple[str, ...]
    directions: npt.NDArray[np.float32]
    layer: int
    origins: npt.NDArray[np.float32]
    units: npt.NDArray[np.float32]
    ends: tuple[int, ...]

    def save(self, path: str | Path) -> None:
        """Write it as one safetensors file."""
        from safetensors.numpy import save_file

        words = {"rows": self.rows, "names": self.names, "layer": self.layer, "ends": self.ends}
        tensors = {"directions": self.directions, "origins": self.origins, "units": self.units}
        save_file(tensors, path, {"probe": json.dumps(words)})

    @classmethod
    def load(cls, path: str | Path) -> Probe:
        """What `save` wrote (RunError if it cannot be read)."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                words = json.loads(file.metadata()["probe"])
                directions, origins, units = map(file.get_tensor, ("directions", "origins", "units"))
            rows = tuple((tuple(context), tuple(response)) for context, response in words["rows"])
            names, ends = tuple(words["names"]), tuple(words["ends"])
            return cls(rows, names, directions, int(words["layer"]), origins, units, ends)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} cannot be read: {error}", "Delete it; it is made again.") from error


def make_probe(
    extractor: Extractor,
    chats: Sequence[Chat],
    vectors: Mapping[str, npt.ArrayLike],
    layer: int,
    units: Mapping[str, npt.ArrayLike] | None = None,
    limit: int = PROBES,
) -> Probe:
    """`probe_of` with activations that the extractor's base gives now."""
    encoder, marks = extractor.model.encoder, special_tokens(extractor.model.encoder)
    parts = tokens(encoder, chats, marks)
    held = [chat for chat, (_, response) in zip(chats, parts, strict=True) if response]
    chosen = [held[at] for at in _spread(len(held), limit)]
    found = extractor.extract(chosen)
    return probe_of(encoder, chosen, found, vectors, layer, units, limit)


def probe_of(
    encoder: Encoder,
    chats: Sequence[Chat],
    activations: npt.ArrayLike,
    vectors: Mapping[str, npt.ArrayLike],
    layer: int,
    units: Mapping[str, npt.ArrayLike] | None = None,
    limit: int = PROBES,
) -> Probe:
    """A probe of at most `limit` chats, spread over those given.

    `activations` (chats, layers, d) are the base's (`mean_activations`); `vectors` are directions
    (layers, d) by name, such as the axis and trait vectors, `units` their units by layer (layers,), such
    as `vectors.role_sd`; 1 where a name has none. Chats without a response token are left out.

    Raises:
        DataError: no chat is left, no such layer, a direction or a unit that is 0 there.
        ModelError: a chat over the window.
    """
    values = np.asarray(activations, np.float64)
    if not vectors or values.ndim != 3 or not 0 <= layer < values.shape[1]:
        raise DataError(
            f"{len(vectors)} directions at layer {layer} of activations of shape {values.shape}",
            "Give at least one direction, and a layer that there is.",
        )
    marks = special_tokens(encoder)
    held = [(part, at) for at, part in enumerate(tokens(encoder, chats, marks)) if part[1]]
    if not held:
        raise DataError("no chat of the probe has a response", "Give answers of the base model.")
    chosen = [held[at] for at in _spread(len(held), limit)]
    directions = np.stack([unit_axis(np.asarray(vector)[layer]) for vector in vectors.values()])
    given = units or {}
    scale = [float(np.asarray(given[name])[layer]) if name in given else 1.0 for name in vectors]
    for name, direction, unit in zip(vectors, directions, scale, strict=True):
        if not (np.isfinite(direction).all() and unit > 0):
            raise DataError(
                f"direction '{name}' or its unit is 0 at layer {layer}", "Choose another layer."
            )
    return Probe(
        tuple((tuple(context), tuple(response)) for (context, response), _ in chosen),
        tuple(vectors),
        directions.astype(np.float32),
        layer,
        (values[[at for _, at in chosen], layer] @ directions.T).mean(axis=0).astype(np.float32),
        np.array(scale, np.float32),
        tuple(sorted(marks)),
    )


def _spread(count: int, limit: int) -> list[int]:
    places: list[int] = np.linspace(0, count - 1, min(limit, count)).round().astype(int).tolist()
    return places
