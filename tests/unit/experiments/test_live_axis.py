"""What a training looks at while it goes on, from the folder of an axis run."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rlpersona.axis.activations import Extractor
from rlpersona.axis.probe import Probe
from rlpersona.config import AxisConfig, ModelConfig
from rlpersona.errors import ModelError, RunError
from rlpersona.experiments.axis.data import AxisData, save_axis
from rlpersona.experiments.axis.live import PROBE, live_callbacks, save_probe
from rlpersona.models.lineage import base_hash
from rlpersona.store import Run, opened
from rlpersona.types import Prompt

MODEL = ModelConfig(device="cpu")


@pytest.fixture
def made(tmp_path: Path) -> tuple[Run, AxisData]:
    """A small axis run, its files written by hand: three answers of the default, two roles."""
    from safetensors.numpy import save_file

    with closing(Extractor(MODEL)) as extractor:
        encoder = extractor.model.encoder
        ids = [
            encoder.response(Prompt.ask("What is 2 + 3?"), text)[1] for text in ("5", "It is 5.", "6")
        ]
        found = extractor.extract([(Prompt.ask("What is 2 + 3?"), one) for one in ids])
    vectors = np.random.default_rng(0).standard_normal((4, *found.shape[1:])).astype(np.float32)
    roles, (own, trait) = vectors[:2], vectors[2:]
    data = AxisData(
        ("a", "b"), roles, own, own, 2, "nano", base_hash("nano"), (None, None), ("calm",), trait[None]
    )
    with opened(tmp_path, AxisConfig(name="axis"), resume=False) as run:
        run.keep()
        save_axis(run, data)
        table = pd.DataFrame({"asked": "What is 2 + 3?", "system": None, "ids": ids})
        run.write_table("roles/default/responses.parquet", table)
        save_file({"activations": found}, run.folder / "roles/default/activations.safetensors")
    return run, data


def test_a_probe_of_an_axis_run_stands_for_its_axis_and_traits(
    made: tuple[Run, AxisData], tmp_path: Path
) -> None:
    axis_run, data = made
    run = Run(tmp_path / "training")
    (run.folder / "conditions" / "x").mkdir(parents=True)
    assert live_callbacks(run.folder / "conditions" / "x", 5) == []
    save_probe(axis_run.name, MODEL, run)
    probe = Probe.load(run.folder / PROBE)
    assert probe.names == ("axis", "trait calm")
    assert probe.layer == 2
    assert len(probe.rows) == 3
    spread = np.ptp(data.vectors[:, 2] @ probe.directions[0])
    assert probe.units[0] == pytest.approx(spread / 2**0.5, rel=1e-4)
    for folder in (run.folder, run.folder / "conditions" / "x"):
        (callback,) = live_callbacks(folder, 5)
        assert callback.due(10, 99)
        assert not callback.due(11, 99)


def test_an_axis_of_other_weights_is_refused(made: tuple[Run, AxisData], tmp_path: Path) -> None:
    axis_run, data = made
    run = Run(tmp_path / "training")
    run.folder.mkdir()
    save_axis(axis_run, replace(data, base_hash="0" * 64, base="another"))
    with pytest.raises(ModelError, match="other weights"):
        save_probe(axis_run.name, MODEL, run)
    with pytest.raises(RunError):
        save_probe("nowhere", MODEL, run)
    assert not (run.folder / PROBE).exists()
