"""Where a model lies: the name in a config becomes a folder or a hub name that engines can open."""

from __future__ import annotations

import re
from pathlib import Path

from rlpersona.errors import ModelError
from rlpersona.storage import fetch_model, is_uri

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def locate(name: str) -> str:
    """The folder of the model called `name`, or `name` itself if it is a hub name.

    `"nano"` is the model that ships with the package; one at a URI (`s3://bucket/model`) is fetched
    once. A folder is looked through before an engine spends seconds on it: it must hold `config.json`,
    a tokenizer and safetensors weights.

    Raises:
        ModelError: the folder does not exist or lacks one of the three.
        ConfigError, StorageError: the URI cannot be used, or storage does not answer.
    """
    if name == "nano":
        from rlpersona.models import nano

        return str(nano.path())
    if is_uri(name):
        name = str(fetch_model(name))
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check(folder)
        return str(folder)
    if folder.is_absolute() or name.startswith(("./", "../", "~")) or not HUB_NAME.fullmatch(name):
        raise ModelError(
            f"no model at '{name}': there is no such folder",
            "Give 'nano', a model folder, a hub name such as Qwen/Qwen2.5-7B-Instruct, or s3://...",
        )
    return name


def portable(name: str) -> str:
    """`locate`, with the folder made absolute: a name that holds in processes that work elsewhere."""
    found = Path(locate(name))
    return name if name == "nano" or is_uri(name) or not found.is_dir() else str(found.absolute())


def _check(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(
                f"'{folder}' is an adapter, not a model",
                "Give its base model here and the folder as adapter.",
            )
        raise ModelError(
            f"model folder '{folder}' has no config.json",
            "Give the folder that save_pretrained wrote.",
        )
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise ModelError(
            f"model folder '{folder}' has no tokenizer",
            "Copy tokenizer.json and tokenizer_config.json from the base model into it.",
        )
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin"))
        raise ModelError(
            f"model folder '{folder}' has no safetensors weights"
            + (", only pickled ones" if pickled else ""),
            "Save it again with save_pretrained: pickled weights can run code and are never loaded.",
        )


def load_failure(name: str, error: Exception) -> ModelError:
    """What to tell a user whose model `name` an engine could not open because of `error`."""
    first_line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ModelError(
        f"cannot load model '{name}': {first_line.strip()}",
        "Check the spelling. Without network the model must be in the local cache "
        f"(`hf download {name}` fetches it) or a folder; it needs safetensors weights and a tokenizer.",
    )
