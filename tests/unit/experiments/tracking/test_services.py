"""W&B and MLflow: off unless asked for, refused early, and the real libraries without a network."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from rlpersona.config import GRPOConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.tracking import following
from rlpersona.experiments.tracking.following import VARIABLE, services, tracked
from rlpersona.resolve import resolve
from rlpersona.store import CONFIG, METRICS, Run

BLOCK = 32768  # bytes of a block of a LevelDB log


def test_nothing_is_sent_anywhere_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert services() == ()
    monkeypatch.setenv(VARIABLE, "none")
    assert services() == ()


def test_the_variable_is_no_part_of_a_config() -> None:
    assert resolve(GRPOConfig(), (), (), {VARIABLE: "wandb"}) == GRPOConfig()


@pytest.mark.parametrize(
    ("value", "says"),
    [("wandbb", "wandb"), ("wandb", "rlpersona[wandb]"), ("mlflow", "rlpersona[mlflow]")],
)
def test_a_service_that_is_not_there_is_refused_with_the_fix(
    value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    monkeypatch.setattr(following, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as caught:
        services()
    assert says in f"{caught.value} {caught.value.hint}"


def test_mlflow_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "mlflow,mlflow")
    monkeypatch.setattr(following, "find_spec", lambda _: find_spec("json"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI"):
        services()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert services() == ("mlflow",)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of two conditions, of which one has a step 0."""
    (tmp_path / "lengths").mkdir()
    run = Run(tmp_path / "lengths")
    run.write_text(CONFIG, "name: lengths\nseed: 3\n")
    return run


def log(run: Run, condition: str, first: int, last: int, plus: float = 0) -> None:
    """A training that goes on after its checkpoint: rows of step `first` and later are written anew."""
    own = Run(run.folder / "conditions" / condition)
    kept = [row for row in own.metrics() if row["step"] < first]
    own.write_text(METRICS, "".join(json.dumps(row) + "\n" for row in kept))
    for step in range(first, last + 1):
        own.append_metrics({"step": step, "loss": step / 8 + plus, "drift/trait (a)/base_text": 0.5})


def test_mlflow_has_each_step_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{run.folder.parent}/mlruns")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with tracked(run, ("mlflow",)):
        log(run, "ab12", 0, 5)
    with pytest.raises(InterruptedError), tracked(run, ("mlflow",)):
        log(run, "ab12", 4, 8, plus=1)
        log(run, "cd34", 1, 3)
        raise InterruptedError
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("rlpersona").experiment_id
    found = {one.info.run_name: one for one in client.search_runs([experiment])}
    assert set(found) == {"lengths", "lengths/conditions/ab12", "lengths/conditions/cd34"}
    assert {one.info.status for one in found.values()} == {"FAILED"}
    whole, part = found["lengths"], found["lengths/conditions/ab12"]
    assert whole.data.params == {"name": "lengths", "seed": "3"}
    assert part.data.tags["mlflow.parentRunId"] == whole.info.run_id
    history = client.get_metric_history(part.info.run_id, "loss")
    steps = [(one.step, one.value) for one in history]
    assert steps == [(k, k / 8) for k in range(6)] + [(k, k / 8 + 1) for k in range(6, 9)]
    assert "drift/trait _a_/base_text" in part.data.metrics


def test_wandb_has_each_step_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    with tracked(run, ("wandb",)):
        log(run, "ab12", 0, 5)
        log(run, "ab12", 4, 8, plus=1)
    (file,) = run.folder.glob("wandb/offline-run-*/*.wandb")
    found = []
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(one.nested_key) or one.key: one for one in record.history.item}
            found.append(tuple(json.loads(items[key].value_json) for key in ("_step", "loss")))
        if record.WhichOneof("record_type") == "run":
            assert (record.run.project, record.run.run_group) == ("rlpersona", "lengths")
    assert [step for step, _ in found] == list(range(9))
    assert (found[3], found[8]) == ((3, 3 / 8), (8, 2))


def records(content: bytes) -> Iterator[bytes]:
    """The records of a file of W&B: 7 bytes, then a log of LevelDB (its doc/log_format.md)."""
    at, parts = 7, b""
    while at + 7 <= len(content):
        room = BLOCK - at % BLOCK
        if room < 7:  # too little for a record's header: padding
            at += room
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""
