"""The live look at persona space, in real trainings of the nano model."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlpersona.axis.activations import Chat, Extractor
from rlpersona.axis.drift import projection_drift
from rlpersona.axis.probe import Probe, make_probe, probe_of
from rlpersona.config import ModelConfig
from rlpersona.errors import DataError, RunError
from rlpersona.training import LocalCheckpoints
from rlpersona.training.dpo import train_dpo
from rlpersona.training.grpo import train_grpo
from rlpersona.types import Prompt, Sampling
from tests.unit.training.policies import grpo_job
from tests.unit.training.stages import dpo_job, same_weights

LAYER = 2
ASKED = [Prompt.ask(f"What is {a} + {b}?") for a in range(2, 8) for b in range(3, 9)]
DIRECTIONS = np.random.default_rng(0).standard_normal((2, 4, 128))
UNIT = np.array([1.0, 1.0, 0.25, 1.0])


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with closing(Extractor(ModelConfig(device="cpu"))) as made:
        yield made


@pytest.fixture(scope="module")
def chats(extractor: Extractor) -> list[Chat]:
    answers = extractor.generate(ASKED, Sampling(max_tokens=24, temperature=1.0))
    return [(prompt, answer.token_ids) for prompt, answer in zip(ASKED, answers, strict=True)]


@pytest.fixture(scope="module")
def probe(extractor: Extractor, chats: list[Chat]) -> Probe:
    vectors = {"axis": DIRECTIONS[0], "trait": DIRECTIONS[1]}
    return make_probe(extractor, chats, vectors, LAYER, {"axis": UNIT}, limit=len(chats))


def watched(train: Any, job: Any, probe: Probe | None, every: int = 1) -> list[dict[str, float]]:
    """The rows of a training."""
    from rlpersona.axis.callback import AxisWatch

    rows: list[dict[str, float]] = []
    callbacks = [] if probe is None else [AxisWatch(probe, every)]
    train(job, LocalCheckpoints(job.out / "checkpoints"), rows.append, callbacks)
    return rows


def test_a_probe_survives_disk_and_pickling(probe: Probe, tmp_path: Path) -> None:
    probe.save(tmp_path / "probe.safetensors")
    for same in (Probe.load(tmp_path / "probe.safetensors"), pickle.loads(pickle.dumps(probe))):
        assert (same.rows, same.names, same.layer, same.ends) == (
            probe.rows,
            probe.names,
            probe.layer,
            probe.ends,
        )
        for part in ("directions", "origins", "units"):
            np.testing.assert_array_equal(getattr(same, part), getattr(probe, part))
    (tmp_path / "probe.safetensors").write_text("{}")
    with pytest.raises(RunError, match="cannot be read"):
        Probe.load(tmp_path / "probe.safetensors")


def test_the_base_stands_at_zero(probe: Probe) -> None:
    from transformers import AutoModelForCausalLM

    from rlpersona.axis.callback import base_text
    from rlpersona.models import nano

    net = AutoModelForCausalLM.from_pretrained(nano.path()).train()
    np.testing.assert_allclose(base_text(net, probe).numpy(), probe.origins, atol=1e-4)
    assert net.training


def test_a_grpo_logs_where_its_weights_stand(
    tmp_path: Path, probe: Probe, extractor: Extractor, chats: list[Chat]
) -> None:
    rows = watched(train_grpo, grpo_job(tmp_path / "watched", max_steps=3), probe, every=2)
    plain = watched(train_grpo, grpo_job(tmp_path / "plain", max_steps=3), None)
    assert same_weights(tmp_path / "watched/adapter", tmp_path / "plain/adapter")
    looks = [{key for key in row if key.startswith("drift/")} for row in rows]
    names = {
        f"drift/{name}/{text}" for name in ("axis", "trait") for text in ("base_text", "batch_text")
    }
    assert looks == [set(), names, names]
    assert [{k: v for k, v in row.items() if k not in names | {"step_time"}} for row in rows] == [
        {k: v for k, v in row.items() if k != "step_time"} for row in plain
    ]

    # The written weights, measured by the extractor, by its own batches.
    before, after = extractor.extract(chats), extractor.extract(chats, str(tmp_path / "watched/adapter"))
    for name, direction, unit in (("axis", DIRECTIONS[0], UNIT), ("trait", DIRECTIONS[1], 1.0)):
        expected = projection_drift(before, after, direction, unit)[:, LAYER].mean()
        assert rows[-1][f"drift/{name}/base_text"] == pytest.approx(expected, abs=2e-3)
    assert abs(rows[-1]["drift/axis/base_text"]) > 0.01


def test_the_batch_is_the_text_that_was_trained_on(
    tmp_path: Path, probe: Probe, extractor: Extractor
) -> None:
    """DPO's pairs are known: their projections in the first step are those under the base."""
    import json

    job = dpo_job(tmp_path, batch=12, max_steps=1)
    rows = watched(train_dpo, job, probe)
    chats = []
    for line in job.rows.read_text().splitlines():
        row = json.loads(line)
        prompt = Prompt.ask(row["prompt"][0]["content"])
        chats += [(prompt, row[side][0]["content"]) for side in ("chosen", "rejected")]
    found = extractor.extract(chats)[:, LAYER]
    expected = (found @ probe.directions.T).mean(axis=0)
    for at, name in enumerate(probe.names):
        placed = (expected[at] - probe.origins[at]) / probe.units[at]
        assert rows[0][f"drift/{name}/batch_text"] == pytest.approx(placed, abs=2e-3)


def test_a_probe_needs_responses_directions_and_a_layer(extractor: Extractor) -> None:
    good: list[Chat] = [(ASKED[0], "It is 5."), (ASKED[1], "")]
    vectors = {"axis": DIRECTIONS[0]}
    assert len(make_probe(extractor, good, vectors, LAYER).rows) == 1
    with pytest.raises(DataError, match="has a response"):
        make_probe(extractor, good[1:], vectors, LAYER)
    found = extractor.extract(good)
    kept = probe_of(extractor.model.encoder, good, found, vectors, LAYER)
    assert kept.rows == make_probe(extractor, good, vectors, LAYER).rows
    np.testing.assert_allclose(kept.origins, make_probe(extractor, good, vectors, LAYER).origins, 1e-4)
    for wrong, layer in ((vectors, 4), ({}, LAYER)):
        with pytest.raises(DataError, match="directions at layer"):
            make_probe(extractor, good, wrong, layer)
    with pytest.raises(DataError, match="'axis' or its unit is 0"):
        make_probe(extractor, good, {"axis": np.zeros((4, 128))}, LAYER)
