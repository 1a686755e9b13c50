"""`rlpersona axis` end to end on some people of the nano world, and what reads its run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rlpersona.axis.activations import Extractor
from rlpersona.axis.vectors import project
from rlpersona.cli import main
from rlpersona.config import ModelConfig
from rlpersona.experiments.axis.data import AxisData, load_axis, read_activations, read_answers
from rlpersona.models import nano
from rlpersona.models.lineage import base_hash
from rlpersona.store import Run
from rlpersona.types import Prompt, Sampling
from tests.support import Finished, rlpersona

PEOPLE = "Pinocchio,Loki,a poet,Emily Dickinson,Peter Pan,a soldier,a harsh critic,Tom Sawyer"
SETTINGS = [f"only={PEOPLE}", "question_limit=40", "least=30", "traits=nano"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    root = tmp_path_factory.mktemp("axis")
    done = rlpersona("axis", "nano", *SETTINGS, "--runs", str(root))
    assert done.returncode == 0, done.stderr
    return Finished(root / "axis", done.stdout)


@pytest.fixture(scope="module")
def data(finished: Finished) -> AxisData:
    return load_axis(Run(finished.folder))


def summary_of(finished: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((finished.folder / "summary.json").read_text())
    return found


def test_the_axis_separates_the_assistant_from_roles(finished: Finished) -> None:
    summary = summary_of(finished)
    here = summary["layers"][summary["layer"]]
    assert summary["layer"] == 2, "the middle"
    assert here["separation"]["low"] > 0.5
    default = summary["default"]["projection"]
    assert default["low"] > max(one["projection"]["estimate"] for one in summary["roles"])
    assert here["halves_cosine"] > 0.8
    assert summary["without"] == []
    assert summary["verdict"] in finished.printed
    assert str(finished.folder / "report.html") in finished.printed


def test_strangers_who_act_as_the_default_lie_where_it_lies(data: AxisData, finished: Finished) -> None:
    """Names that training never saw are planted to change nothing, and are no part of the axis."""
    answers = read_answers(Run(finished.folder), ["default"])
    asked = list(dict.fromkeys(answers["asked"]))
    prompts = [Prompt.ask(q, p.system) for p in nano.bystanders(4) for q in asked]
    extractor = Extractor(ModelConfig())
    said = extractor.generate(prompts, Sampling(96, 1.0, 1.0, 5))
    chats = [(prompt, one.token_ids) for prompt, one in zip(prompts, said, strict=True)]
    strangers = extractor.extract(chats).mean(axis=0)
    at = data.layer
    places = project(np.stack([data.default, strangers, *data.vectors]), data.axis)[:, at]
    assert abs(places[1] - places[0]) < 0.2 * abs(places[0] - places[2:].mean())


def test_the_folder_holds_every_response_and_what_it_did_inside(
    finished: Finished, data: AxisData
) -> None:
    run = Run(finished.folder)
    answers = read_answers(run)
    assert len(answers) == 9 * 40 * 2
    assert not answers.duplicated(["role", "prompt", "question"]).any()
    assert set(answers["role"]) == {"default", *PEOPLE.split(",")}
    assert (answers["score"].isna() == (answers["error"].notna() | (answers["role"] == "default"))).all()
    values = read_activations(run, "a poet")
    kept = answers.loc[answers["role"] == "a poet", "kept"].to_numpy()
    assert values.shape == (80, 4, 128)
    vector = data.vectors[data.names.index("a poet")]
    np.testing.assert_allclose(vector, values[kept].mean(axis=0, dtype=np.float64), atol=1e-5)
    assert data.base_hash == base_hash("nano")
    assert data.traits == ("agreement", "politeness", "truth", "length")
    table = pd.read_parquet(finished.folder / "pca.parquet")
    assert set(table["group"]) >= {"poet", "liar", "child", "soldier", "critic"}


def test_the_page_needs_nothing_else_and_is_written_again_alike(finished: Finished) -> None:
    page = finished.folder / "report.html"
    text = page.read_text()
    assert text.count("<svg") == 4
    assert "<script" not in text
    assert 'src="http' not in text
    root = str(finished.folder.parent)
    assert rlpersona("report", "axis", "--runs", root).returncode == 0
    assert page.read_text() == text
    shown = rlpersona("show", "axis", "--runs", root)
    assert shown.stdout.strip() in finished.printed


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["nanno"], 2, "Did you mean 'nano'?"),
        (["nano", "only=Pinochio,Loki"], 2, "Did you mean 'Pinocchio'?"),
        (["nano", "roles=nowhere", "keep=0"], 3, "no roles or traits at 'nowhere'"),
        (["nano", "model=./nowhere"], 4, "no such folder"),
        (["nano", "judge.by=openai"], 2, "Which model of openai judges?"),
        (["nano", "questions=mine.jsonl"], 2, "rate only roles and questions"),
        (["drift"], 2, "Which run's checkpoints?"),
    ],
)
def test_mistakes_leave_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["axis", *words, "--runs", str(tmp_path / "runs")])
    said = capsys.readouterr().err
    assert (ended.value.code, says in said) == (code, True), said
    assert not any(tmp_path.rglob("*.yaml"))
