from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rlpersona.errors import ModelError
from rlpersona.models import lineage
from rlpersona.models.lineage import (
    Lineage,
    Link,
    adapter_link,
    base_hash,
    read_lineage,
    refuse_other_base,
    write_lineage,
)
from tests.unit.models.tiny_models import save_llama, save_lora, save_tokenizer

SFT, RLAIF = Link("sft", "1" * 64), Link("rlaif", "2" * 64)


@pytest.fixture
def adapter(lora: str, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lora, tmp_path / "adapter"))


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    record = Lineage("Qwen/Ü", "a" * 64, (SFT, RLAIF), merged="b" * 64)
    write_lineage(tmp_path, record)
    assert read_lineage(tmp_path) == record
    assert read_lineage(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text", ["", "[]", '{"base": "nano"}', '{"base": 1, "base_hash": 2, "links": [3]}']
)
def test_a_torn_record_is_an_error_and_not_an_adapter_without_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "lineage.json").write_text(text)
    with pytest.raises(ModelError, match=r"lineage\.json cannot be read"):
        read_lineage(tmp_path)


def test_the_hash_is_that_of_the_weight_files(tiny: str, tmp_path: Path) -> None:
    digest = hashlib.sha256((Path(tiny) / "model.safetensors").read_bytes()).hexdigest()
    expected = hashlib.sha256(f"model.safetensors {digest}".encode()).hexdigest()
    assert base_hash(tiny) == expected
    copy = shutil.copytree(tiny, tmp_path / "copy")
    (copy / "config.json").write_text((copy / "config.json").read_text() + " ")
    shutil.copy(copy / "model.safetensors", copy / "consolidated.safetensors")  # read by nobody
    assert base_hash(str(copy)) == expected


def test_shards_are_those_of_the_index(tiny: str, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny, tmp_path / "copy")
    shutil.move(copy / "model.safetensors", copy / "model-00001-of-00001.safetensors")
    index = {
        "weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00001-of-00001.safetensors"}
    }
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    before = base_hash(str(copy))
    (copy / "other.safetensors").write_bytes(b"x")
    assert base_hash(str(copy)) == before


def test_a_file_is_read_once_until_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        lineage.hashlib, "file_digest", lambda file, name: reads.append(file.name) or digest(file, name)
    )
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(b"one")
    first = [adapter_link("sft", tmp_path) for _ in range(3)]
    assert len(reads) == 1
    file.write_bytes(b"two")
    os.utime(file, ns=(1, 1))
    assert (
        adapter_link("sft", tmp_path).weights == hashlib.sha256(b"two").hexdigest() != first[0].weights
    )


def test_an_adapter_without_a_record_is_taken(adapter: Path, tiny: str) -> None:
    refuse_other_base(str(adapter), tiny)


def test_its_own_base_is_taken_under_any_name_and_others_are_not(
    adapter: Path, tiny: str, tmp_path: Path
) -> None:
    write_lineage(adapter, Lineage("tiny", base_hash(tiny)))
    refuse_other_base(str(adapter), str(shutil.copytree(tiny, tmp_path / "elsewhere")))
    other = tmp_path / "other"
    save_llama(other, save_tokenizer(other), spread=0.2)
    with pytest.raises(
        ModelError, match=r"trained on 'tiny', whose weights \(\w{12}\) are not"
    ) as caught:
        refuse_other_base(str(adapter), str(other))
    assert "model=tiny" in caught.value.hint


def test_the_chain_below_must_be_the_same(adapter: Path, tiny: str) -> None:
    write_lineage(adapter, Lineage("tiny", base_hash(tiny), (SFT, RLAIF)))
    refuse_other_base(str(adapter), tiny, (SFT, RLAIF))
    with pytest.raises(
        ModelError, match=f"sft -> rlaif merged into it; the model here is '{tiny}' alone"
    ):
        refuse_other_base(str(adapter), tiny)
    with pytest.raises(ModelError, match=r"the model here is .* with rlaif -> sft merged"):
        refuse_other_base(str(adapter), tiny, (RLAIF, SFT))
    with pytest.raises(ModelError, match="other weights of rlaif than") as caught:
        refuse_other_base(str(adapter), tiny, (SFT, Link("rlaif", "3" * 64)))
    assert "train it again" in caught.value.hint


def test_a_merged_model_stands_for_its_chain_until_it_is_written_again(
    adapter: Path, tiny: str, tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    save_llama(merged, save_tokenizer(merged), spread=0.2)
    below = Lineage("tiny", base_hash(tiny), (SFT,), merged=base_hash(str(merged)))
    write_lineage(merged, below)
    write_lineage(adapter, Lineage("tiny", base_hash(tiny), (SFT,)))
    refuse_other_base(str(adapter), str(merged))
    write_lineage(adapter, Lineage("merged", base_hash(str(merged))))  # trained on it as on a base
    refuse_other_base(str(adapter), str(merged))
    save_llama(merged, save_tokenizer(merged), spread=0.1)
    for record in (Lineage("tiny", base_hash(tiny), (SFT,)), Lineage("merged", below.merged)):
        write_lineage(adapter, record)
        with pytest.raises(ModelError, match="whose weights"):
            refuse_other_base(str(adapter), str(merged))


def test_a_model_that_is_not_here_says_how_to_fetch_it(adapter: Path) -> None:
    write_lineage(adapter, Lineage("x", "y"))
    with pytest.raises(ModelError, match="neither on this machine nor to be had") as caught:
        refuse_other_base(str(adapter), "nobody/nothing")
    assert "hf download nobody/nothing" in caught.value.hint


def test_a_hub_name_in_the_local_cache_has_the_hash_of_its_files(tiny: str, tmp_path: Path) -> None:
    """In a process of its own: the cache's place is read when the library is imported."""
    repository = tmp_path / "hub/models--somebody--tiny"
    shutil.copytree(tiny, repository / "snapshots/abc")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("abc")
    code = "from rlpersona.models.lineage import base_hash; print(base_hash('somebody/tiny'))"
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.strip() == base_hash(tiny)


def test_an_adapter_written_again_is_another_link(tiny: str, tmp_path: Path) -> None:
    links = set()
    for seed in (0, 1):
        save_lora(tmp_path / str(seed), tiny, seed)
        links.add(adapter_link("sft", tmp_path / str(seed)))
    assert len(links) == 2
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors"):
        adapter_link("sft", tmp_path)
