"""A model at a URI: fetched once, whole, and again when it was written again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import ConfigError, ModelError, StorageError
from rlpersona.models import load_model, nano
from rlpersona.models.lineage import base_hash
from rlpersona.models.locate import locate, portable
from rlpersona.storage import Place, fetch_model, open_place
from rlpersona.types import Prompt, Sampling
from tests.s3_server import requests_seen, s3_server


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("RLPERSONA_SCRATCH", str(tmp_path / "scratch"))
    fetch_model.cache_clear()
    yield tmp_path / "scratch" / "models"
    fetch_model.cache_clear()


@pytest.fixture
def model(tmp_path: Path) -> str:
    shutil.copytree(nano.path(), tmp_path / "store" / "my-nano")
    return f"file://{tmp_path}/store/my-nano"


def test_a_model_on_s3_answers_as_the_same_model_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with s3_server() as endpoint:
        uri = f"s3://models/nano?scheme=http&endpoint_override={endpoint}"
        for file in nano.path().iterdir():
            if file.is_file():
                open_place(uri).write(file.name, file)
        prompts, sampling = [Prompt.ask("What is 2 + 3?")], Sampling(max_tokens=8, temperature=0)
        there = load_model(ModelConfig(name=uri)).generate(prompts, sampling)
        assert base_hash(uri) == base_hash("nano")
        reads = requests_seen(endpoint)["GET models/nano/model.safetensors"]
        fetch_model.cache_clear()
        assert Path(locate(uri)).name == "nano"
        assert requests_seen(endpoint)["GET models/nano/model.safetensors"] == reads, "fetched once"
    assert there == load_model(ModelConfig(name="nano")).generate(prompts, sampling)


def test_a_model_that_was_written_again_is_fetched_again(model: str, tmp_path: Path) -> None:
    first = fetch_model(model)
    config = tmp_path / "store" / "my-nano" / "config.json"
    config.write_text(config.read_text() + "\n")
    fetch_model.cache_clear()
    second = fetch_model(model)
    assert first != second
    assert second.joinpath("config.json").read_text() == config.read_text()


def test_a_fetch_that_breaks_leaves_no_half_of_a_model(
    model: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Place.fetch

    def breaks(self: Place, name: str, target: Path) -> None:
        if name == "model.safetensors":
            raise StorageError("the line is cut")
        plain(self, name, target)

    monkeypatch.setattr(Place, "fetch", breaks)
    with pytest.raises(StorageError):
        locate(model)
    assert not [path for path in cache.rglob("*") if path.is_file()]
    monkeypatch.setattr(Place, "fetch", plain)
    assert (Path(locate(model)) / "model.safetensors").is_file()


def test_each_node_fetches_for_itself(model: str) -> None:
    assert portable(model) == model


def test_models_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing is there"):
        locate(f"file://{tmp_path}/nobody")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "readme.txt").write_text("no model")
    with pytest.raises(ModelError, match=r"config\.json"):
        locate(f"file://{tmp_path}/empty")
    with pytest.raises(ConfigError, match="kind 'http'"):
        locate("http://host/model")
