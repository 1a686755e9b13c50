"""What a finished axis run holds, as values: vectors, and the responses that they were made of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rlpersona.axis.roles import DEFAULT, slug
from rlpersona.config import AxisConfig
from rlpersona.errors import RunError
from rlpersona.experiments.axis.castings import ACTIVATIONS, RATINGS, RESPONSES, TENSOR
from rlpersona.resolve import resolve
from rlpersona.store import CONFIG, Run, atomic

if TYPE_CHECKING:
    import pandas as pd

VECTORS = "vectors.safetensors"
# One entry: safetensors writes several in an order that changes from process to process.
METADATA = "rlpersona"
Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AxisData:
    """Role vectors (roles, layers, d), the default's and the axis (layers, d), all of one base model.

    `layer` is that of headlines; `base_hash` stands for the base's weights (`models.lineage`). `names`
    are the roles that have a vector, `groups` their planted groups (None outside the nano world).
    `traits` names the trait vectors (traits, layers, d).
    """

    names: tuple[str, ...]
    vectors: Floats32
    default: Floats32
    axis: Floats32
    layer: int
    base: str
    base_hash: str
    groups: tuple[str | None, ...] = ()
    traits: tuple[str, ...] = ()
    trait_vectors: Floats32 | None = None

    @property
    def trait_map(self) -> dict[str, Floats32]:
        """Trait vectors by name."""
        found = self.trait_vectors
        return {} if found is None else dict(zip(self.traits, found, strict=True))


def save_axis(run: Run, data: AxisData) -> None:
    """Write `vectors.safetensors`: the same bytes for the same values."""
    from safetensors.numpy import save_file

    tensors = {"roles": data.vectors, "default": data.default, "axis": data.axis}
    if data.trait_vectors is not None and len(data.trait_vectors):
        tensors["traits"] = data.trait_vectors
    words = {k: v for k, v in asdict(data).items() if not isinstance(v, np.ndarray)}
    words.pop("trait_vectors", None)
    with atomic(run.folder / VECTORS) as temporary:
        save_file(tensors, temporary, {METADATA: json.dumps(words, ensure_ascii=False)})


def load_axis(run: Run) -> AxisData:
    """The vectors of an axis run.

    Raises:
        RunError: another kind of run, one that is not finished, or a file that cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = run.folder / VECTORS
    if not path.exists():
        raise RunError(
            f"Run '{run.name}' has no {VECTORS}.",
            f"Make the axis first: rlpersona axis name={run.name} (--resume if it was begun)",
        )
    try:
        with safe_open(path, "np") as file:
            words = json.loads(file.metadata()[METADATA])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return AxisData(
            tuple(words["names"]),
            found["roles"],
            found["default"],
            found["axis"],
            int(words["layer"]),
            words["base"],
            words["base_hash"],
            tuple(words["groups"]),
            tuple(words["traits"]),
            found.get("traits"),
        )
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}", "Make the run again, elsewhere.") from error


def axis_config(run: Run) -> AxisConfig:
    """The config of an axis run; RunError for another kind of run."""
    import yaml

    saved = yaml.safe_load((run.folder / CONFIG).read_text(encoding="utf-8"))
    if saved.get("experiment") != "axis":
        raise RunError(
            f"Run '{run.name}' is a {saved.get('experiment')}, no axis.", "Make one: rlpersona axis"
        )
    return resolve(AxisConfig(), [run.folder / CONFIG], (), {})


def read_answers(run: Run, roles: Sequence[str] = ()) -> pd.DataFrame:
    """Responses of the default and the roles (empty: all that have a vector), role by role.

    Columns role, prompt, system, question, domain, asked, text, tokens, finish, ids, and `score`,
    `error` and `kept`: whether the response counts in the role's vector. All of the default's count.
    """
    import pandas as pd

    names = roles or (DEFAULT, *load_axis(run).names)
    keep = axis_config(run).keep
    return pd.concat([read_role(run, name, keep) for name in names], ignore_index=True)


def read_role(run: Run, name: str, keep: int) -> pd.DataFrame:
    """The responses of one role with their ratings (see `read_answers`)."""
    import pandas as pd

    folder = run.folder / "roles" / slug(name)
    if not (folder / RESPONSES).exists():
        raise RunError(f"Run '{run.name}' holds no responses of '{name}'.", f"See {folder.parent}.")
    table = pd.read_parquet(folder / RESPONSES)
    table["score"] = pd.array([None] * len(table), dtype="Int64")
    table["error"] = pd.array([None] * len(table), dtype="string")
    if (folder / RATINGS).exists():
        ratings = pd.read_parquet(folder / RATINGS)
        table["score"], table["error"] = ratings["score"], ratings["error"]
    rated = name != DEFAULT and keep > 0
    table["kept"] = (table["score"] >= keep).fillna(False).astype(bool) if rated else True
    return table


def read_activations(run: Run, name: str) -> Floats32:
    """Activations (responses, layers, d) of a role, in the order of `read_role`."""
    from safetensors.numpy import load_file

    path = run.folder / "roles" / slug(name) / ACTIVATIONS
    found: Floats32 = load_file(path)[TENSOR]
    return found


def plain(value: Any) -> Any:
    """Dataclasses, numpy numbers and mappings as plain JSON values."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    return value
