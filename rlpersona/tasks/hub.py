"""Rows through `datasets.load_dataset`: the Hugging Face hub, its cache, or a local folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rlpersona.errors import DataError
from rlpersona.tasks.files import Located

_SPEC = re.compile(r"(?P<path>[^:]+)(?::(?P<config>[^:\[\]]+))?:(?P<split>[^:\[\]]+(?:\[[^\[\]]*\])?)")


class HubSpec(NamedTuple):
    """The three parts of `path[:config]:split`."""

    path: str
    config: str | None
    split: str


def parse_spec(text: str) -> HubSpec | None:
    """`"openai/gsm8k:main:test[:100]"` in its parts, or None where it has no split."""
    match = _SPEC.fullmatch(text)
    return HubSpec(match["path"], match["config"], match["split"]) if match else None


def read_hub(spec: HubSpec) -> Iterator[Located]:
    """The rows of one split, in its order. Raises DataError where `datasets` cannot give them."""
    import datasets

    name = ":".join(part for part in spec if part)
    try:
        table = datasets.load_dataset(spec.path, spec.config, split=spec.split)
    except Exception as error:  # the library raises from many trees: hub, network, arrow, builders
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"cannot load the dataset {name}: {reason[0]}",
            "Check path[:config]:split and the network, or give a local file with data=FILE.",
        ) from error
    for number, row in enumerate(table, start=1):
        yield Located(f"{name}, row {number}", row)
