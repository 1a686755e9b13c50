from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models import load_model
from rlpersona.models.adapters import adapter_rank, adapter_version
from rlpersona.models.locate import locate


def refused(name: str, match: str) -> ModelError:
    with pytest.raises(ModelError, match=match) as caught:
        load_model(ModelConfig(name=name))
    assert caught.value.hint
    return caught.value


def without(tiny: str, folder: Path, *patterns: str) -> Path:
    shutil.copytree(tiny, folder)
    for pattern in patterns:
        for file in folder.glob(pattern):
            file.unlink()
    return folder


def test_nano_is_a_folder_of_the_package() -> None:
    assert (Path(locate("nano")) / "config.json").is_file()


def test_hub_names_pass_and_folders_are_looked_through(tiny: str) -> None:
    assert locate("Qwen/Qwen2.5-7B-Instruct") == "Qwen/Qwen2.5-7B-Instruct"
    assert locate(tiny) == tiny


@pytest.mark.parametrize("name", ["./no/such", "/no/such", "~/no-such-model", "a/b/c", "what is this"])
def test_no_such_folder(name: str) -> None:
    refused(name, "no such folder")


def test_a_folder_without_tokenizer(tiny: str, tmp_path: Path) -> None:
    error = refused(str(without(tiny, tmp_path / "m", "tokenizer*", "chat_template*")), "no tokenizer")
    assert "tokenizer.json" in error.hint


def test_a_folder_without_weights(tiny: str, tmp_path: Path) -> None:
    refused(str(without(tiny, tmp_path / "m", "*.safetensors")), "no safetensors weights$")


def test_pickled_weights_are_never_loaded(tiny: str, tmp_path: Path) -> None:
    folder = without(tiny, tmp_path / "m", "*.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"not a pickle")
    assert "never loaded" in refused(str(folder), "only pickled").hint


def test_a_folder_without_config(tiny: str, tmp_path: Path) -> None:
    refused(str(without(tiny, tmp_path / "m", "config.json")), r"no config\.json")


def test_an_adapter_is_no_model(lora: str) -> None:
    refused(lora, "is an adapter")


def test_broken_weights(tiny: str, tmp_path: Path) -> None:
    folder = without(tiny, tmp_path / "m")
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    refused(str(folder), "cannot load model")


def test_an_unknown_hub_name_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hf download" in refused("nobody/no-such-model", "nobody/no-such-model").hint


def test_cuda_where_there_is_none(tiny: str) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ModelError, match="no CUDA device"):
        load_model(ModelConfig(name=tiny, device="cuda"))


def test_an_adapters_version_changes_when_it_is_written(lora: str, tmp_path: Path) -> None:
    folder = shutil.copytree(lora, tmp_path / "adapter")
    first = adapter_version(str(folder))
    assert adapter_version(str(folder)) == first
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes())
    assert adapter_version(str(folder)) != first
    assert adapter_rank(str(folder)) == 4
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="no rank"):
        adapter_rank(str(folder))
