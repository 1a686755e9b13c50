"""From words on a command line to one config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.config import BanditConfig
from rlpersona.errors import ConfigError
from rlpersona.presets import BANDIT, preset
from rlpersona.resolve import resolve


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("seed: 2\nrounds: 3\nmodel: {engine: vllm}\n")
    environment = {
        "RLPERSONA_ROUNDS": "4",
        "RLPERSONA_MODEL__REPLICAS": "2",
        "RLPERSONA_RUNS": "x",
        "HOME": "/",
    }
    config = resolve(preset("quickstart"), [file], ["rounds=5", "model.chunk=7"], environment)
    assert config.domains == ("math",), "from the preset"
    assert config.seed == 2, "from the file"
    assert config.model.replicas == 2, "from the environment"
    assert config.rounds == 5, "from the command line"
    assert (config.model.engine, config.model.chunk, config.model.name) == ("vllm", 7, "nano")


@pytest.mark.parametrize(
    "overrides", [["model=a/b", "model.engine=vllm"], ["model.engine=vllm", "model=a/b"]]
)
def test_a_models_name_stands_for_its_section(overrides: list[str]) -> None:
    model = resolve(BanditConfig(), (), overrides).model
    assert (model.name, model.engine) == ("a/b", "vllm")


def test_another_algorithm_does_not_inherit_parameters() -> None:
    quickstart = preset("quickstart")
    assert resolve(quickstart, (), ["algorithm=halving"]).params == {}
    assert resolve(quickstart, (), ["algorithm=reinforce"]).params == quickstart.params
    assert resolve(quickstart, (), ["params={}"]).params == {}
    both = resolve(quickstart, (), ["algorithm=thompson", "params.draws=10"])
    assert both.params == {"draws": 10}


def test_exponents_are_numbers() -> None:
    assert resolve(BanditConfig(), (), ["params.lr=1e-2"]).params == {"lr": 0.01}


def test_json_is_a_config_too(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"seed": 9, "model": "some/model"}))
    config = resolve(BanditConfig(), [file])
    assert (config.seed, config.model.name) == (9, "some/model")


@pytest.mark.parametrize("name", BANDIT)
def test_a_resolved_config_loads_again_to_itself(name: str, tmp_path: Path) -> None:
    config = preset(name)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert resolve(BanditConfig(), [file]) == config


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_setting_ends_in_a_config_or_a_config_error(key: str, value: str) -> None:
    try:
        config = resolve(BanditConfig(), (), [f"{key}={value}"])
    except ConfigError:
        return
    assert isinstance(config, BanditConfig)


def test_configs_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        BanditConfig().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "override",
    [
        "params.api_key=abc",
        "data=sk-abcdefghijklmnop1234",
        "params.OPENAI_API_KEY=x",
        "prefix=hf_" + "a" * 24,
    ],
)
def test_a_key_in_a_config_is_refused_and_not_repeated(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(BanditConfig(), (), [override])
    assert override.partition("=")[2] not in caught.value.message


@pytest.mark.parametrize("text", ["123", "2026-11-21", "true"])
def test_text_stays_text(text: str) -> None:
    assert resolve(BanditConfig(), (), [f"name={text}"]).name == text
    assert resolve(BanditConfig(), (), [f"model.name={text}"]).model.name == text


def test_braces_and_colons_in_a_prefix_are_no_yaml() -> None:
    assert resolve(BanditConfig(), (), ["prefix=Persona: {name}"]).prefix == "Persona: {name}"
    assert resolve(BanditConfig(), (), ["prefix={name}"]).prefix == "{name}"
    assert resolve(BanditConfig(), (), ["data=null"]).data is None
    assert resolve(BanditConfig(), (), ["params.mode=123"]).params == {"mode": 123}
    assert resolve(BanditConfig(), (), ["validation.controls=nonsense"]).validation.controls == (
        "nonsense",
    )
