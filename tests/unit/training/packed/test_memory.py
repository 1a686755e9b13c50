from __future__ import annotations

from pathlib import Path

import pytest
from transformers import MixtralConfig

from rlpersona.config import GRPOConfig
from rlpersona.errors import ConfigError, ModelError
from rlpersona.training.packed.memory import Need, free_memory, need
from rlpersona.training.packed.stack import Stack
from rlpersona.training.start import load_start
from tests.unit.training.packed.families import SMALL
from tests.unit.training.stages import NANO


def config(**recipe: object) -> GRPOConfig:
    return GRPOConfig(recipe=recipe)


def test_what_does_not_fit_into_one_pack_is_cut() -> None:
    assert Need(once=100, each=10).fit(1000) == 60
    assert Need(once=100, each=10).fit(0) == 1


def test_a_condition_adds_its_adapter_and_its_cache() -> None:
    """Beside a hand count of nano: four layers, two heads of 64, a vocabulary of 1,664."""
    small, wide = (config(lora={"rank": rank}, max_completion=96, batch=64) for rank in (1, 9))
    net, _ = load_start(NANO)
    size = Stack(net, wide.recipe.lora, [0]).size
    found, less = need(wide, cuda=False), need(small, cuda=False)
    cache, drawing = 64 * (256 + 96) * 4 * 2 * 2 * 64 * 4, 64 * 1664 * 16
    assert found.each == 4 * 4 * size + cache + drawing
    assert found.each - less.each == pytest.approx(4 * 4 * size * 8 / 9)
    assert found.once == less.once


def test_a_gpu_holds_the_activations_of_all_and_two_bytes_a_weight() -> None:
    cpu, gpu = (need(config(), cuda=cuda) for cuda in (False, True))
    assert gpu.once < cpu.once
    assert gpu.each > cpu.each / 2


def test_a_dtype_that_was_asked_for_counts() -> None:
    plain, exact = (
        need(GRPOConfig(model={"name": "nano", "dtype": dtype}), cuda=True)
        for dtype in ("auto", "float32")
    )
    assert exact.once == 2 * plain.once
    assert exact.each > plain.each


def test_a_group_is_never_cut() -> None:
    whole, half = (need(config(micro_batch=rows, num_generations=8), cuda=True) for rows in (8, 4))
    assert whole.each == half.each


@pytest.mark.filterwarnings("ignore:The following:RuntimeWarning")
def test_a_config_may_leave_the_size_of_a_head_open(tmp_path: Path) -> None:
    """As Mixtral's does."""
    shape = {name: value for name, value in SMALL.items() if name != "head_dim"}
    MixtralConfig(**shape, num_local_experts=2).save_pretrained(tmp_path)
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).touch()
    model = {"name": str(tmp_path)}
    one, two = (
        need(GRPOConfig(model=model, recipe={"batch": batch, "micro_batch": 8}), cuda=False)
        for batch in (8, 16)
    )
    cache = (256 + 96) * 2 * 2 * 2 * 8 * 4  # two layers, two heads of 8
    assert two.each - one.each == 8 * (cache + 64 * 16)


def test_the_cache_of_vllm_is_its_own() -> None:
    own, engine = (need(config(rollouts=name), cuda=True) for name in ("hf", "vllm"))
    assert engine.once == own.once
    assert engine.each < own.each


def test_packs_share_this_machines_memory() -> None:
    one, two = (free_memory(config(), packs) for packs in (1, 2))
    assert two == pytest.approx(one / 2, rel=0.2)


def test_a_gpu_elsewhere_cannot_be_asked() -> None:
    with pytest.raises(ConfigError, match="there is none here"):
        free_memory(config(gpus_per_worker=1), 1)


def test_an_unknown_model_is_said() -> None:
    with pytest.raises(ModelError):
        need(GRPOConfig(model={"name": "no/such-model"}), cuda=False)
