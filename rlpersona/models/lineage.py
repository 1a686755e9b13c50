"""What an adapter was trained on: the exact base weights and the adapters merged into them.

A LoRA delta means something only on the weights that it was trained on. On others it loads without
a word and gives text that looks nearly right, so every adapter made here carries `lineage.json`, and
engines compare it with the model that they hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from rlpersona.errors import ModelError
from rlpersona.models.adapters import WEIGHTS
from rlpersona.models.locate import locate

RECORD = "lineage.json"
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


@dataclass(frozen=True)
class Link:
    """An adapter merged into the base: its stage and the SHA-256 of its `adapter_model.safetensors`."""

    stage: str
    weights: str


@dataclass(frozen=True)
class Lineage:
    """What lies below an adapter: a base and the adapters merged into it, in their order.

    `merged` is set only in the folder of a merged model: the `base_hash` of that folder, so that its
    weights stand for base and links as long as nobody has written them again.
    """

    base: str
    base_hash: str
    links: tuple[Link, ...] = ()
    merged: str = ""


def read_lineage(folder: str | Path) -> Lineage | None:
    """The record in a folder; None where there is none (an adapter that was made elsewhere).

    Raises:
        ModelError: the record cannot be read.
    """
    path = Path(folder) / RECORD
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        links = tuple(Link(str(link["stage"]), str(link["weights"])) for link in value["links"])
        return Lineage(str(value["base"]), str(value["base_hash"]), links, str(value.get("merged", "")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} cannot be read: {type(error).__name__}: {error}",
            "Train the adapter again; without its record nobody knows which weights it belongs to.",
        ) from error


def write_lineage(folder: str | Path, lineage: Lineage) -> None:
    """Write the record of an adapter or a model into its folder."""
    text = json.dumps(asdict(lineage), indent=2, ensure_ascii=False)
    (Path(folder) / RECORD).write_text(text + "\n", encoding="utf-8")


def base_hash(name: str) -> str:
    """SHA-256 over a model's safetensors files: the digest of their names and digests.

    Raises:
        ModelError: there is no such model, or its weights cannot be had.
    """
    lines = [f"{file.name} {file_hash(file)}" for file in _weight_files(name)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def adapter_link(stage: str, folder: str | Path) -> Link:
    """The link that an adapter becomes when it is merged.

    Raises:
        ModelError: the folder is no PEFT adapter with safetensors weights.
    """
    file = Path(folder) / WEIGHTS
    if not file.is_file():
        raise ModelError(
            f"'{folder}' is no adapter: it has no {WEIGHTS}",
            "Give the folder that the training wrote.",
        )
    return Link(stage, file_hash(file))


def file_hash(file: Path) -> str:
    """SHA-256 of a file, remembered while its path, size and time of writing stay the same."""
    path = file.resolve()
    stat = path.stat()
    return _hashed(str(path), stat.st_size, stat.st_mtime_ns)


def refuse_other_base(folder: str, model: str, links: Sequence[Link] = ()) -> None:
    """Nothing, if the adapter in `folder` was trained on `model` with `links` merged into it.

    An adapter without a record is accepted: it was made elsewhere.

    Raises:
        ModelError: it was trained on other weights; the hint says how to use it.
    """
    record = read_lineage(folder)
    if record is None:
        return
    held = tuple(links)
    if (record.base_hash, record.links) == (base_hash(model), held):
        return
    below, merged = _identity(model)
    if (record.base_hash, record.links) == (below, merged + held):
        return
    raise _refusal(folder, record, model, below, merged + held)


def chain(links: Iterable[Link]) -> str:
    """`"sft -> rlaif"`."""
    return " -> ".join(link.stage for link in links)


def _identity(model: str) -> tuple[str, tuple[Link, ...]]:
    """Base and links of a merged model's folder, else the model's own hash and no links."""
    own = base_hash(model)
    record = read_lineage(locate(model))
    if record is not None and record.merged == own:
        return record.base_hash, record.links
    return own, ()


def _refusal(folder: str, record: Lineage, model: str, below: str, held: tuple[Link, ...]) -> ModelError:
    wanted = f"'{record.base}'" + (f" with {chain(record.links)} merged into it" if record.links else "")
    if record.base_hash != below:
        return ModelError(
            f"adapter '{folder}' was trained on {wanted}, whose weights ({record.base_hash[:12]})"
            f" are not those of model '{model}' ({below[:12]})",
            f"Use it with the base model that it was trained on: model={record.base}.",
        )
    if [link.stage for link in record.links] == [link.stage for link in held]:
        changed = [a.stage for a, b in zip(record.links, held, strict=True) if a != b]
        return ModelError(
            f"adapter '{folder}' was trained on other weights of {', '.join(changed)}"
            " than those given here",
            f"Take the adapter of {changed[0]} that it was trained on, or train it again.",
        )
    here = f"'{model}'" + (f" with {chain(held)} merged into it" if held else " alone")
    return ModelError(
        f"adapter '{folder}' was trained on {wanted}; the model here is {here}",
        "Use its flattened form, which stands on the raw base (served/ beside the stage's adapter/),"
        " or the merged model: rlpersona.training.export has flatten and merge.",
    )


def _weight_files(name: str) -> list[Path]:
    """The files that transformers loads: those of the index, or the single file, or all there are."""
    folder = Path(locate(name))
    if not folder.is_dir():
        return _hub_files(name)
    if (folder / INDEX).is_file():
        return [folder / shard for shard in _shards(folder / INDEX)]
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    return sorted(file for file in folder.glob("*.safetensors") if file.name != WEIGHTS)


def _hub_files(name: str) -> list[Path]:
    """The same of a hub name, fetched where they are not in the local cache, as engines do."""
    from transformers.utils import cached_file

    try:
        index = cached_file(
            name,
            INDEX,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return [Path(cached_file(name, file)) for file in (_shards(Path(index)) if index else [SINGLE])]
    except OSError as error:
        raise ModelError(
            f"the weights of model '{name}' are neither on this machine nor to be had: {error}",
            f"Fetch them where there is a network: hf download {name}",
        ) from error


def _shards(index: Path) -> list[str]:
    return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))


@lru_cache(maxsize=4096)
def _hashed(path: str, size: int, mtime_ns: int) -> str:
    """`size` and `mtime_ns` are part of the key alone."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
