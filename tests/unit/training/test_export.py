from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError
from rlpersona.models.hf import HFModel
from rlpersona.models.lineage import read_lineage
from rlpersona.training import Start
from rlpersona.training.export import flatten, load_start, merge
from tests.unit.training.conftest import Chain
from tests.unit.training.stages import NANO, plain_model, weights


def engine_logits(model: HFModel, chain: Chain, adapter: Path | None) -> list[object]:
    """Logits of the very network with which the engine answers."""
    import torch

    model._use(str(adapter) if adapter else None)
    with torch.no_grad():
        return [model._net(row).logits for row in chain.ids]


def apart(ours: list[object], theirs: list[object]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))  # type: ignore[operator]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_form_of_a_stage_gives_the_logits_of_its_training(
    depth: int, chain: Chain, tmp_path: Path
) -> None:
    import torch

    start, trained = chain.starts[depth], chain.logits[depth - 1]
    below = merge(Start(NANO.model, start.adapters[:-1]), tmp_path / "below")
    reloaded = engine_logits(HFModel(ModelConfig(name=str(below))), chain, start.adapters[-1][1])
    assert apart(reloaded, trained) < 1e-6

    base = HFModel(NANO.model)
    merged = merge(start, tmp_path / "merged")
    rebuilt, _ = load_start(start)
    forms = {"flat": engine_logits(base, chain, flatten(start, tmp_path / "flat"))}
    forms["merged"] = engine_logits(HFModel(ModelConfig(name=str(merged))), chain, None)
    with torch.no_grad():
        forms["rebuilt"] = [rebuilt.eval()(row).logits for row in chain.ids]
        forms["by hand"] = [plain_model(start)(row).logits for row in chain.ids]
    # Their sums are rounded elsewhere: float32 holds logits of this size to some 1e-6 of the largest.
    largest = max(float(logits.abs().max()) for logits in trained)
    for logits in forms.values():
        assert apart(logits, trained) < 1e-5 * largest
    assert apart(engine_logits(base, chain, None), trained) > 0.1  # the stages changed something


def test_an_adapter_of_a_chain_is_refused_on_the_raw_base(chain: Chain, tmp_path: Path) -> None:
    start = chain.starts[3]
    engine = HFModel(NANO.model)
    before = engine_logits(engine, chain, None)
    with pytest.raises(ModelError, match=r"with sft -> rlaif merged into it; .* 'nano' alone") as caught:
        engine_logits(engine, chain, start.adapters[-1][1])
    assert "served/" in caught.value.hint
    assert "merge" in caught.value.hint
    assert apart(engine_logits(engine, chain, None), before) == 0
    engine_logits(engine, chain, start.adapters[0][1])  # the first stage stands on the raw base


def test_a_flat_adapter_adds_up_the_ranks(chain: Chain, tmp_path: Path) -> None:
    flat = flatten(chain.starts[3], tmp_path / "flat")
    config = json.loads((flat / "adapter_config.json").read_text())
    assert config["r"] == config["lora_alpha"] == 4 + 2 + 2
    assert {min(tensor.shape) for tensor in weights(flat).values()} == {8}
    lineage = read_lineage(flat)
    assert lineage is not None
    assert lineage.links == ()


def test_stages_on_different_modules_flatten_to_one_rank(chain: Chain, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    net, _ = load_start(NANO)
    folders = []
    for seed, modules in enumerate((["q_proj"], ["v_proj", "down_proj"])):
        torch.manual_seed(seed)
        net = get_peft_model(net, LoraConfig(r=seed + 2, lora_alpha=5, target_modules=modules))
        for name, weight in net.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
        net.save_pretrained(tmp_path / str(seed))
        net = net.merge_and_unload()
        folders.append((str(seed), tmp_path / str(seed)))
    with torch.no_grad():
        expected = [net.eval()(row).logits for row in chain.ids]
    flat = flatten(Start(NANO.model, tuple(folders)), tmp_path / "flat")
    assert apart(engine_logits(HFModel(NANO.model), chain, flat), expected) < 1e-4


def test_what_cannot_be_flattened_is_refused(chain: Chain, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adapter to flatten"):
        flatten(NANO, tmp_path / "flat")
    from peft import LoraConfig, get_peft_model

    net, _ = load_start(NANO)
    get_peft_model(net, LoraConfig(r=2, use_dora=True, target_modules=["q_proj"])).save_pretrained(
        tmp_path / "dora"
    )
    with pytest.raises(ModelError, match="more than plain LoRA") as caught:
        flatten(Start(NANO.model, (("dora", tmp_path / "dora"),)), tmp_path / "flat")
    assert "merge" in caught.value.hint
    assert not (tmp_path / "flat").exists()
