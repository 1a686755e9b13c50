"""Building: a tiny build end to end, and nothing half-written when it is cut short."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rlpersona.errors import ConfigError, DataError
from rlpersona.models.nano.building import build, read_report
from rlpersona.models.nano.data import conversation
from rlpersona.models.nano.recipe import TRUE, Recipe, new_model, rate
from rlpersona.models.nano.tokenizer import train_tokenizer

TINY = Recipe(steps=4, batch_tokens=512, hidden=32, layers=1, heads=1, intermediate=32, sharp_share=0.5)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("nano") / "tiny"
    seen = []
    report = build(out, seed=1, progress=lambda *call: seen.append(call), recipe=TINY, per_cell=2)
    assert [call[:2] for call in seen] == [(step, 4) for step in (1, 2, 3, 4)]
    assert report == read_report(out)
    return out


def test_a_build_writes_a_whole_folder_and_nothing_else(built: Path) -> None:
    assert {f.name for f in built.iterdir()} == {
        "README.md",
        "build.json",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [f.name for f in built.parent.iterdir()] == ["tiny"]
    assert "license: mit" in (built / "README.md").read_text()
    assert all(f.stat().st_mode & 0o044 for f in built.iterdir())


def test_building_again_replaces_the_folder_by_the_same_weights(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    shutil.copytree(built, out)
    (out / "stale.txt").write_text("")
    (out / "model.safetensors").write_bytes(b"")
    report = build(out, seed=1, recipe=TINY, per_cell=1)
    assert read_report(out) == report
    for file in ("model.safetensors", "tokenizer.json", "config.json", "tokenizer_config.json"):
        assert (out / file).read_bytes() == (built / file).read_bytes()
    assert not (out / "stale.txt").exists()
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_another_seed_starts_and_is_taught_differently() -> None:
    import torch

    tokenizer = train_tokenizer(400, seed=1)
    first, second = (new_model(TINY, tokenizer, seed).state_dict() for seed in (1, 2))
    assert not torch.equal(first["lm_head.weight"], second["lm_head.weight"])
    taught = [conversation(TRUE, random.Random(seed)) for seed in (1, 2)]
    assert taught[0] != taught[1]


def test_an_interrupted_build_leaves_the_old_model_and_no_rubbish(built: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    shutil.copytree(built, out)
    before = {f.name: f.read_bytes() for f in out.iterdir()}

    def interrupt(step: int, _steps: int, _loss: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(out, seed=5, progress=interrupt, recipe=TINY, per_cell=1)
    assert {f.name: f.read_bytes() for f in out.iterdir()} == before
    assert [f.name for f in tmp_path.iterdir()] == ["model"]


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match="something other"):
        build(tmp_path, recipe=TINY)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        build(tmp_path / "out", recipe=TINY)


@pytest.mark.parametrize("content", [None, "{", '{"seed": 1}'])
def test_a_missing_or_broken_report_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "build.json").write_text(content)
    with pytest.raises(DataError, match=r"build\.json"):
        read_report(tmp_path)


def test_the_rate_rises_stays_and_falls_to_nearly_nothing() -> None:
    recipe = replace(Recipe(), steps=100, warmup=0.1, decay=0.4)
    rates = [rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:60] == [1.0] * 51
    assert rates[80] == pytest.approx(0.5)
    assert rates[99] == pytest.approx(0.025)
