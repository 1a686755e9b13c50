"""The arithmetic of a sweep on GPUs, against figures worked out by hand and sizes that are published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlpersona.cli import main
from rlpersona.config import SweepConfig
from rlpersona.errors import ConfigError
from rlpersona.experiments.dose.costs import (
    GPUS,
    cost_lines,
    cost_of,
    engine_gb,
    learn_seconds,
    memory_of,
    shape_of,
    write_seconds,
)
from rlpersona.presets.sweep import misspecification

QWEN = "Qwen/Qwen2.5-7B-Instruct"


def paper() -> SweepConfig:
    """Two biases, five doses, three seeds: thirty cells."""
    return misspecification().model_copy(update={"biases": ("length", "agreement")})


def test_the_size_of_a_7b_model_is_the_published_one() -> None:
    shape = shape_of(QWEN)
    assert shape.weights == pytest.approx(7.62e9, rel=0.002)  # its model card: 7.61B
    assert shape.weights - 2 * shape.vocabulary * shape.hidden == pytest.approx(6.53e9, rel=0.002)
    assert shape.adapter(16) == 40_370_176  # as peft counts it, all-linear


def test_the_size_of_a_model_in_a_folder_is_read() -> None:
    assert shape_of("nano").weights == pytest.approx(1_066_112, rel=0.01)


def test_sizes_that_a_config_does_not_say_are_an_error_of_one_line(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_embd": 768}')
    with pytest.raises(ConfigError, match="does not say 'num_attention_heads'"):
        shape_of(str(tmp_path))


def test_heads_may_be_wider_than_the_model(tmp_path: Path) -> None:
    """Gemma 2 9B: 16 query heads and 8 of keys, of 256 each, in a width of 3,584."""
    sizes = {"hidden_size": 3584, "intermediate_size": 14336, "num_hidden_layers": 42, "head_dim": 256}
    heads = {"num_attention_heads": 16, "num_key_value_heads": 8}
    said = {**sizes, **heads, "vocab_size": 256000, "tie_word_embeddings": True}
    for name in ("tokenizer.json", "model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "config.json").write_text(json.dumps(said))
    assert shape_of(str(tmp_path)).weights == pytest.approx(9.24e9, rel=0.001)


def test_completions_are_written_once_for_all_updates_on_them() -> None:
    once, twice = (
        paper().model_copy(
            update={"recipe": paper().recipe.model_copy(update={"num_iterations": number})}
        )
        for number in (1, 2)
    )
    assert cost_of(twice, "h100").writing == pytest.approx(cost_of(once, "h100").writing / 2)
    assert cost_of(twice, "h100").learning == pytest.approx(cost_of(once, "h100").learning * 4 / 5)


def test_what_is_read_out_and_looked_at_is_counted() -> None:
    """A readout every 300 of 200 updates is the one at the end; looks come before and after them."""
    rare, plain = (
        paper().model_copy(update={"readout": paper().readout.model_copy(update={"every": every})})
        for every in (300, None)
    )
    assert cost_of(rare, "h100").training == pytest.approx(cost_of(plain, "h100").training)
    never = paper().model_copy(update={"readout": paper().readout.model_copy(update={"held_out": 0})})
    looks = cost_of(paper(), "h100").training - cost_of(never, "h100").training
    shape, gpu = shape_of(QWEN), GPUS["h100"]
    assert looks == pytest.approx(11 * write_seconds(shape, gpu, 48, 512)), "0, 20, ... 200"


def test_writing_is_bound_by_memory_for_few_and_by_arithmetic_for_many() -> None:
    shape, gpu = shape_of(QWEN), GPUS["h100"]
    # One completion: 512 times 15.2 GB at 2.01 TB/s.
    assert write_seconds(shape, gpu, 1, 512) == pytest.approx(512 * 15.23e9 / 2.01e12, rel=0.01)
    assert write_seconds(shape, gpu, 128, 512) < 1.2 * write_seconds(shape, gpu, 1, 512)
    many = 2 * 7.62e9 * 4096 * (200 + 0.6 * 64) / (989e12 * 0.35)
    assert write_seconds(shape, gpu, 4096, 64) == pytest.approx(many, rel=0.01)
    assert write_seconds(shape, gpu, 0, 512) == 0


def test_learning_is_five_passes_over_every_token() -> None:
    config, shape, gpu = paper(), shape_of(QWEN), GPUS["h100"]
    tokens = 128 * (200 + 0.6 * 512)
    assert learn_seconds(config, shape, gpu) == pytest.approx(5 * 2 * 7.62e9 * tokens / 346e12, rel=0.01)
    recipe = config.recipe.model_copy(update={"beta": 0.0, "full": True})
    other = config.model_copy(update={"recipe": recipe})
    assert learn_seconds(other, shape, gpu) == pytest.approx(learn_seconds(config, shape, gpu))


def test_memory_by_part_is_that_of_the_recipe() -> None:
    config, shape = paper(), shape_of(QWEN)
    parts = memory_of(config, shape, GPUS["h100"])
    assert parts["weights"] == pytest.approx(15.2, abs=0.1)
    assert parts["trained weights, gradients, Adam"] == pytest.approx(16 * 40.4e6 / 1e9, rel=0.02)
    assert parts["vLLM"] == pytest.approx(24)
    assert sum(parts.values()) < 80
    # Keys and values: 28 layers, 4 heads of 128, two of them, two bytes: 57,344 a token.
    assert engine_gb(config, shape) == pytest.approx(15.24 + 128 * 507.2 * 57_344 / 1e9, abs=0.05)
    full = config.model_copy(update={"recipe": config.recipe.model_copy(update={"full": True})})
    assert sum(memory_of(full, shape, GPUS["h100"]).values()) > 80


def test_thirty_cells_on_one_four_and_eight() -> None:
    cost = cost_of(paper(), "h100")
    assert (cost.cells, cost.trainings, cost.steps) == (30, 27, 200)
    hours = {count: time for count, (time, _) in cost.clusters.items()}
    assert hours[1] == pytest.approx(27 * cost.training / 3600)
    assert hours[4] == pytest.approx(7 * cost.training / 3600), "27 trainings, 4 at a time: 7 rounds"
    assert hours[8] == pytest.approx(4 * cost.training / 3600)
    assert cost.clusters[8][1] == pytest.approx(8 * 3.0 * hours[8])
    assert cost.training > 200 * cost.update
    dear = cost_of(paper(), "h100", (8,), 10.0)
    assert dear.clusters[8][1] == pytest.approx(10 / 3 * cost.clusters[8][1])
    assert cost_of(paper(), "a100").training > cost.training > cost_of(paper(), "h200").training


def test_what_does_not_fit_is_said() -> None:
    said = "\n".join(cost_lines(cost_of(paper(), "l40s"), QWEN))
    assert "raise recipe.vllm_gpu_memory" in said
    recipe = paper().recipe.model_copy(update={"micro_batch": 64})
    large = paper().model_copy(update={"recipe": recipe})
    assert "does not fit" in "\n".join(cost_lines(cost_of(large, "h100"), QWEN))


def test_what_cannot_be_reckoned_is_refused() -> None:
    with pytest.raises(ConfigError, match="'v100' is not known"):
        cost_of(paper(), "v100")
    unknown = paper().model_copy(
        update={"model": paper().model.model_copy(update={"name": "somebody/large"})}
    )
    with pytest.raises(ConfigError, match="sizes of 'somebody/large'"):
        cost_of(unknown, "h100")
    steps = paper().recipe.model_copy(update={"max_steps": None})
    with pytest.raises(ConfigError, match="max_steps"):
        cost_of(paper().model_copy(update={"recipe": steps}), "h100")


def test_the_command_prints_it_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "plan", "misspecification", "biases=length,agreement", "--gpu", "h100"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--gpus", "2,16"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "By arithmetic; nothing here is measured" in said
    assert "2 GPUs" in said
    assert "16 GPUs" in said
    with pytest.raises(SystemExit) as ended:
        main([*words, "--gpus", "none"])
    assert ended.value.code == 2
