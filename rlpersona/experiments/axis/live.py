"""Where a training stands along an axis run's axis and traits, logged while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rlpersona.axis.probe import Probe, probe_of
from rlpersona.axis.roles import DEFAULT
from rlpersona.axis.traits import trait_unit
from rlpersona.axis.vectors import role_sd
from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.experiments.axis.data import load_axis, read_activations, read_answers
from rlpersona.models.encode import Encoder, window_of
from rlpersona.models.lineage import base_hash
from rlpersona.models.locate import locate
from rlpersona.store import Run, atomic, find
from rlpersona.types import Prompt

if TYPE_CHECKING:
    from rlpersona.axis.activations import Chat

PROBE = "probe.safetensors"


def save_probe(axis: str, model: ModelConfig, run: Run) -> None:
    """Keep in the folder of `run` what its training looks at; `axis` names an axis run beside it.

    Directions are the axis, in units of the roles' standard deviation along it, and every trait, in
    units of the distance between its two sides; the texts are the default's answers. Nothing is computed
    by the model. A probe that is there already is kept.

    Raises:
        RunError: no such run, no axis run, or one that is not finished.
        ModelError: the axis was made on other weights.
    """
    path = run.folder / PROBE
    if path.exists():
        return
    made = find(run.folder.parent, axis)
    probe = axis_probe(made, model)
    with atomic(path) as temporary:
        probe.save(temporary)


def axis_probe(run: Run, model: ModelConfig) -> Probe:
    """The probe of an axis run, for a training of `model` (see `save_probe`)."""
    import pandas as pd
    from transformers import AutoConfig, AutoTokenizer

    data = load_axis(run)
    if data.base_hash != base_hash(model.name):
        raise ModelError(
            f"axis '{run.name}' was made on other weights ({data.base}) than model '{model.name}'",
            "Make one on this model: rlpersona axis model=...",
        )
    source = locate(model.name)
    tokenizer = AutoTokenizer.from_pretrained(source)
    encoder = Encoder(tokenizer, window_of(AutoConfig.from_pretrained(source), tokenizer, model.window))
    chats: list[Chat] = [
        (
            Prompt.ask(str(row["asked"]), None if pd.isna(row["system"]) else str(row["system"])),
            [int(one) for one in row["ids"]],
        )
        for row in read_answers(run, [DEFAULT]).to_dict("records")
    ]
    traits = {f"trait {name}": np.asarray(vector) for name, vector in data.trait_map.items()}
    units = {"axis": role_sd(data.vectors, data.axis)}
    units |= {name: trait_unit(vector) for name, vector in traits.items()}
    vectors = {"axis": np.asarray(data.axis), **traits}
    return probe_of(encoder, chats, read_activations(run, DEFAULT), vectors, data.layer, units)


def live_callbacks(folder: Path, every: int = 5) -> list[Any]:
    """Callbacks for a training in `folder`: a look every `every` steps, if its run has a probe.

    A condition of a sweep (`conditions/ID`) or a stage (`stages/NAME`) has the probe of its run.
    """
    for place in (folder, folder.parent.parent):
        if (place / PROBE).exists():
            from rlpersona.axis.callback import AxisWatch

            return [AxisWatch(Probe.load(place / PROBE), every)]
    return []
