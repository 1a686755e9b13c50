"""Reading a finished run out again: what may be set, what stays, what is drawn anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlpersona.config import GRPOConfig, ReadoutConfig, StagesConfig, SuiteConfig
from rlpersona.errors import ConfigError, ModelError, RunError
from rlpersona.experiments.dose import reevaluation
from rlpersona.experiments.dose.readout import read_out
from rlpersona.experiments.dose.reevaluation import evaluate_run, saved_config
from rlpersona.models import load_model
from rlpersona.store import CONFIG, SUMMARY, Run
from rlpersona.tasks.suite import load_suite
from rlpersona.types import Model
from tests.unit.experiments.test_readout import adapter

CONFIG_OF = GRPOConfig(
    name="one",
    seed=2,
    suite=SuiteConfig(domains=("math", "opinion"), size=8, evaluation=8),
    readout=ReadoutConfig(samples=1, max_tokens=24),
)


@pytest.fixture
def trained(tmp_path: Path) -> Run:
    """A finished run of one training, made without training."""
    run = Run(tmp_path / "one")
    run.write_text(CONFIG, CONFIG_OF.model_dump_json())
    adapter(run.folder / "steps" / "step-000004", 1)
    run.write_json(SUMMARY, {"experiment": "grpo", "training": {"loss": 0.5}})
    return run


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models in this process instead of actors."""
    monkeypatch.setattr(reevaluation, "PooledModel", load_model)
    monkeypatch.setattr(reevaluation, "ray_session", _NoSession)


class _NoSession:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.usefixtures("here")
def test_more_samples_are_drawn_and_the_training_is_kept(
    trained: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    first = evaluate_run(trained)
    assert first["training"] == {"loss": 0.5}
    assert first["design"]["samples"] == 1
    again = evaluate_run(trained, ["readout.samples=3"])
    assert again["design"]["samples"] == 3
    assert again["design"]["steps"] == [0, 4]
    assert trained.read_json(SUMMARY) == again
    assert "one: base and step 4" in capsys.readouterr().out


def test_what_is_there_is_not_drawn_again(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Model = load_model(CONFIG_OF.model)
    questions = load_suite(CONFIG_OF.suite, CONFIG_OF.seed).evaluation
    before = read_out(CONFIG_OF, trained.folder, model, questions)
    model.close()

    def none(_: object) -> Model:
        raise AssertionError("a model was loaded though all is there")

    monkeypatch.setattr(reevaluation, "PooledModel", none)
    found = evaluate_run(trained)
    assert found["design"]["completions"] == len(before)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("seed=4", "no setting of a readout"),
        ("readout.every=2", "settled by the training"),
        ("readout.sample=2", "sample"),
        ("judge.by=oracle", "oracle"),
    ],
)
def test_what_cannot_be_set_is_refused(trained: Run, setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate_run(trained, [setting])


def test_an_inference_model_that_is_not_there_is_named(trained: Run, here: None) -> None:
    with pytest.raises(ModelError, match="no-such-model"):
        evaluate_run(trained, ["nli=/no-such-model"])


def test_other_runs_have_no_readout(tmp_path: Path) -> None:
    run = Run(tmp_path / "stages")
    run.write_text(CONFIG, StagesConfig().model_dump_json())
    with pytest.raises(RunError, match="no readout"):
        saved_config(run)


def test_a_sweep_without_a_finished_training_is_told(tmp_path: Path) -> None:
    from rlpersona.config import SweepConfig

    run = Run(tmp_path / "begun")
    run.write_text(CONFIG, SweepConfig(name="begun").model_dump_json())
    with pytest.raises(RunError, match="no finished training"):
        evaluate_run(run)
