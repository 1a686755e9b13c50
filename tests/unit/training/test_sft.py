from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.config.training import LoraConfig, SFTRecipe
from rlpersona.errors import ModelError, RunError
from rlpersona.models.hf import HFModel
from rlpersona.training import LocalCheckpoints
from rlpersona.training.packing import refuse_leaking_packs
from rlpersona.training.sft import train_sft
from rlpersona.types import Prompt, Sampling
from tests.unit.training.stages import (
    CALM,
    NANO,
    QUESTIONS,
    Stopped,
    answer_logps,
    first_loss,
    plain_model,
    same_weights,
    sft_job,
    weights,
    write_rows,
)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"micro_batch": 2},
        {"full": True, "learning_rate": 1e-5},
        {"packing": True, "max_length": 128, "batch": 8},
    ],
    ids=["together", "micro", "full", "packed"],
)
def test_the_loss_is_that_of_answers_and_their_ends_alone(
    settings: dict[str, object], tmp_path: Path
) -> None:
    import torch

    net = plain_model(NANO)
    answers = [CALM + " So it is." * (n % 3) for n in range(len(QUESTIONS))]
    nlls = [-answer_logps(net, q, a) for q, a in zip(QUESTIONS, answers, strict=True)]
    job = sft_job(tmp_path, **{"batch": 12, "max_steps": 1} | settings)
    assert first_loss(train_sft, job, tmp_path / "c") == pytest.approx(
        float(torch.cat(nlls).mean()), abs=2e-4
    )


def test_a_trained_model_says_its_answer_and_stops(tmp_path: Path) -> None:
    job = sft_job(tmp_path, max_steps=80, batch=12, learning_rate=1e-2, schedule="cosine")
    rows = [
        {
            "prompt": [{"role": "user", "content": q}],
            "completion": [{"role": "assistant", "content": CALM}],
        }
        for q in QUESTIONS
    ]
    write_rows(job.rows, rows)
    measures = train_sft(job, LocalCheckpoints(tmp_path / "c"))
    assert measures["rows"] == len(QUESTIONS)
    model = HFModel(ModelConfig())
    prompts = [Prompt.ask(question) for question in QUESTIONS]
    before = model.generate(prompts, Sampling(max_tokens=64))
    after = model.generate(prompts, Sampling(max_tokens=64), str(job.out / "adapter"))
    assert {(done.text, done.finish) for done in after} == {(CALM, "stop")}
    assert not any(done.text == CALM for done in before)


def test_the_seed_decides_adapter_and_order(tmp_path: Path) -> None:
    runs = {}
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        job = sft_job(tmp_path / name, seed=seed, max_steps=3)
        runs[name] = train_sft(job, LocalCheckpoints(tmp_path / name / "c"))["adapter_init"]
    assert runs["a"] == runs["b"] != runs["c"]
    assert same_weights(tmp_path / "a/sft/adapter", tmp_path / "b/sft/adapter")
    assert not same_weights(tmp_path / "a/sft/adapter", tmp_path / "c/sft/adapter")


@pytest.mark.parametrize(
    "settings",
    [
        {"lora": LoraConfig(rank=4, alpha=8, dropout=0.2), "checkpoint_every": 4},  # in the second epoch
        {"lora": LoraConfig(rank=4, alpha=8, dropout=0.2), "checkpoint_every": 3},  # where it begins
        {
            "full": True,
            "learning_rate": 1e-3,
            "checkpoint_every": 2,
            "micro_batch": 2,
            "schedule": "cosine",
        },
    ],
    ids=["within", "between", "full"],
)
def test_a_resumed_training_ends_in_the_same_weights(
    settings: dict[str, object], tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, broken = (sft_job(tmp_path / name, **settings) for name in ("whole", "broken"))
    seen: list[dict[str, float]] = []
    train_sft(whole, LocalCheckpoints(tmp_path / "whole/c"))
    with pytest.raises(InterruptedError):
        train_sft(broken, Stopped(tmp_path / "broken/c"))
    assert not broken.out.exists()
    again = train_sft(broken, LocalCheckpoints(tmp_path / "broken/c"), seen.append)
    assert again["resumed_at"] == settings["checkpoint_every"]
    assert [step["step"] for step in seen] == list(range(again["resumed_at"] + 1, 7))
    kind = "model" if settings.get("full") else "adapter"
    assert same_weights(whole.out / kind, broken.out / kind)


def test_a_finished_training_done_again_from_its_checkpoints_is_the_same(tmp_path: Path) -> None:
    job = sft_job(tmp_path, max_steps=4, checkpoint_every=2)
    train_sft(job, LocalCheckpoints(tmp_path / "c"))
    first = weights(job.out / "adapter")
    assert train_sft(job, LocalCheckpoints(tmp_path / "c"))["resumed_at"] == 2
    assert all(bool((first[name] == w).all()) for name, w in weights(job.out / "adapter").items())


def test_the_result_holds_weights_config_and_lineage_and_no_pickle(tmp_path: Path) -> None:
    job = sft_job(tmp_path, max_steps=1)
    train_sft(job, LocalCheckpoints(tmp_path / "c"))
    names = {file.name for file in (job.out / "adapter").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors", "lineage.json"}
    config = json.loads((job.out / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "nano"
    assert [path.name for path in job.out.iterdir()] == ["adapter"]


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    job = sft_job(tmp_path, full=True, learning_rate=1e30, clip=1e30, max_steps=5)
    with pytest.raises(RunError, match=r"(loss|grad_norm) is \w+ at step") as caught:
        train_sft(job, LocalCheckpoints(tmp_path / "c"))
    assert "learning_rate" in caught.value.hint
    assert not job.out.exists()


def test_packing_is_refused_where_rows_would_see_each_other() -> None:
    net = plain_model(NANO)
    refuse_leaking_packs(net, "nano")
    forward = net.forward

    def blind(input_ids: object, position_ids: object, **rest: object) -> object:
        return forward(input_ids=input_ids, **rest)  # an architecture that ignores positions

    net.forward = blind
    with pytest.raises(ModelError, match="rows of one pack would see each other") as caught:
        refuse_leaking_packs(net, "nano")
    assert "packing=false" in caught.value.hint


@pytest.mark.parametrize(
    ("target", "hint"), [("q_prj", "Did you mean 'q_proj'?"), ("lm_head", "Known: ")]
)
def test_a_layer_that_cannot_be_adapted_is_named(target: str, hint: str, tmp_path: Path) -> None:
    job = sft_job(tmp_path, lora=LoraConfig(targets=("v_proj", target)))
    with pytest.raises(ModelError, match=f"'{target}' is no layer") as caught:
        train_sft(job, LocalCheckpoints(tmp_path / "c"))
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("strategy", ["fsdp", "zero2"])
def test_sharing_weights_wants_gpus(strategy: str, tmp_path: Path) -> None:
    job = sft_job(tmp_path, strategy=strategy, workers=2)
    with pytest.raises(ModelError, match=f"strategy={strategy} needs GPUs") as caught:
        train_sft(job, LocalCheckpoints(tmp_path / "c"))
    assert "strategy=ddp" in caught.value.hint


def test_four_bits_want_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs a CUDA device") as caught:
        train_sft(sft_job(tmp_path, quantize="4bit"), LocalCheckpoints(tmp_path / "c"))
    assert "quantize=none" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch": 6, "workers": 4}, "batch=6 is no multiple"),
        ({"batch": 8, "workers": 2, "micro_batch": 3}, r"batch=8 is no multiple .* \(2 x 3\)"),
        ({"full": True, "quantize": "4bit"}, "cannot be trained"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SFTRecipe(**settings)  # type: ignore[arg-type]
