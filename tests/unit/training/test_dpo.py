from __future__ import annotations

import math
from pathlib import Path

import pytest

from rlpersona.config import ModelConfig
from rlpersona.config.training import DPORecipe, LoraConfig
from rlpersona.errors import ModelError
from rlpersona.training import LocalCheckpoints, Start
from rlpersona.training.dpo import train_dpo
from tests.unit.models.tiny_models import save_llama, save_tokenizer
from tests.unit.training.conftest import Chain
from tests.unit.training.stages import (
    CALM,
    LOUD,
    NANO,
    QUESTIONS,
    Stopped,
    answer_logps,
    dpo_job,
    first_loss,
    plain_model,
    same_weights,
)

BETA, FLIPPED = 0.1, 0.2


def pair_loss(loss: str, chosen: float, rejected: float, tokens: tuple[int, int]) -> float:
    """The loss of a pair with log-ratios log p / p_ref of both answers, from the papers' equations."""
    d = BETA * (chosen - rejected)
    if loss == "sigmoid":  # Rafailov et al. 2023, equation 7
        return math.log1p(math.exp(-d))
    if loss == "hinge":  # Liu et al. 2023, arXiv:2309.06657, hinge-norm
        return max(0.0, 1 - d)
    if loss == "ipo":  # Azar et al. 2023, equation 17, per token
        return (chosen / tokens[0] - rejected / tokens[1] - 1 / (2 * BETA)) ** 2
    right, wrong = (
        math.log1p(math.exp(-d)),
        math.log1p(math.exp(d)),
    )  # Chowdhury et al. 2024
    return ((1 - FLIPPED) * right - FLIPPED * wrong) / (1 - 2 * FLIPPED)


@pytest.mark.parametrize(
    ("loss", "expected"),
    # log p(y+) = -20, log p_ref(y+) = -22; log p(y-) = -30, log p_ref(y-) = -27: ratios 2 and -3, so
    # beta d = .5; -log s(.5) = .474077, -log s(-.5) = .974077; answers of 10 and 6 tokens
    [
        ("sigmoid", 0.474077),
        ("hinge", 0.5),
        ("ipo", (0.2 + 0.5 - 5) ** 2),
        ("robust", (0.8 * 0.474077 - 0.2 * 0.974077) / 0.6),
    ],
)
def test_the_equations_by_hand(loss: str, expected: float) -> None:
    assert pair_loss(loss, -20 + 22, -30 + 27, (10, 6)) == pytest.approx(expected, abs=1e-6)


@pytest.fixture(scope="module")
def ratios(chain: Chain) -> list[tuple[float, float, tuple[int, int]]]:
    """Log-ratios of each pair between the SFT stage and the raw base, and the answers' tokens."""
    policy, reference = plain_model(chain.starts[1]), plain_model(NANO)
    found = []
    for n, question in enumerate(QUESTIONS):
        both = [
            [answer_logps(net, question, answer) for net in (policy, reference)]
            for answer in (CALM + " So it is." * (n % 3), LOUD)
        ]
        chosen, rejected = (float((p - ref).sum()) for p, ref in both)
        found.append((chosen, rejected, (len(both[0][0]), len(both[1][0]))))
    return found


@pytest.mark.parametrize("loss", ["sigmoid", "hinge", "ipo", "robust"])
def test_the_trainer_computes_the_equations_against_the_reference_that_was_named(
    loss: str, chain: Chain, ratios: list[tuple[float, float, tuple[int, int]]], tmp_path: Path
) -> None:
    job = dpo_job(
        tmp_path,
        chain.starts[1],
        NANO,
        loss=loss,
        beta=BETA,
        label_smoothing=FLIPPED if loss == "robust" else 0,
        batch=12,
        max_steps=1,
    )
    expected = sum(pair_loss(loss, *row) for row in ratios) / len(ratios)
    assert first_loss(train_dpo, job, tmp_path / "c") == pytest.approx(expected, rel=1e-4)
    assert max(abs(chosen - rejected) for chosen, rejected, _ in ratios) > 5  # far from no difference


@pytest.mark.parametrize("settings", [{}, {"full": True, "learning_rate": 1e-4}], ids=["lora", "full"])
def test_the_reference_is_the_parent_with_all_its_stages(
    settings: dict[str, object], chain: Chain, tmp_path: Path
) -> None:
    """At the start policy and reference agree exactly there; the raw base would give another loss."""
    seen: list[dict[str, float]] = []
    job = dpo_job(tmp_path, chain.starts[2], **settings)
    train_dpo(job, LocalCheckpoints(tmp_path / "c"), seen.append)
    assert seen[0]["loss"] == pytest.approx(math.log(2), abs=2e-6)
    assert seen[0]["rewards/margins"] == pytest.approx(0, abs=2e-5)
    assert seen[-1]["rewards/accuracies"] == 1
    assert seen[-1]["rewards/margins"] > 0.1
    named = dpo_job(tmp_path, chain.starts[2], chain.starts[2], max_steps=1, **settings)
    assert first_loss(train_dpo, named, tmp_path / "d") == seen[0]["loss"]


@pytest.mark.parametrize("reference", [None, NANO], ids=["parent", "named"])
def test_a_resumed_training_ends_in_the_same_weights(reference: Start | None, tmp_path: Path) -> None:
    jobs = []
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        lora = LoraConfig(rank=4, alpha=8, dropout=0.2)
        jobs.append(dpo_job(tmp_path / name, reference=reference, lora=lora, checkpoint_every=4))
    whole, broken = jobs
    train_dpo(whole, LocalCheckpoints(tmp_path / "whole/c"))
    with pytest.raises(InterruptedError):
        train_dpo(broken, Stopped(tmp_path / "broken/c"))
    assert train_dpo(broken, LocalCheckpoints(tmp_path / "broken/c"))["resumed_at"] == 4
    assert same_weights(whole.out / "adapter", broken.out / "adapter")


def test_a_changed_link_of_the_chain_is_refused(chain: Chain, tmp_path: Path) -> None:
    """The SFT stage was trained again after the stage above it: that one has lost its base."""
    from safetensors.torch import load_file, save_file

    (_, sft), above = chain.starts[2].adapters
    again = tmp_path / "sft"
    again.mkdir()
    tensors = load_file(sft / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_B" in name)
    tensors[name][0, 0] += 1e-6
    save_file(tensors, again / "adapter_model.safetensors", metadata={"format": "pt"})
    for file in ("adapter_config.json", "lineage.json"):
        (again / file).write_bytes((sft / file).read_bytes())
    start = Start(NANO.model, (("sft", again), above))
    with pytest.raises(ModelError, match="trained on other weights of sft"):
        train_dpo(dpo_job(tmp_path, start), LocalCheckpoints(tmp_path / "c"))


def test_a_reference_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    save_llama(tmp_path / "other", save_tokenizer(tmp_path / "other"))
    other = Start(ModelConfig(name=str(tmp_path / "other"), device="cpu"))
    with pytest.raises(ModelError, match="another vocabulary") as caught:
        train_dpo(dpo_job(tmp_path, reference=other), LocalCheckpoints(tmp_path / "c"))
    assert "same base" in caught.value.hint


@pytest.mark.parametrize(
    "settings", [{"label_smoothing": 0.1}, {"loss": "robust"}, {"loss": "ipo", "label_smoothing": 0.1}]
)
def test_smoothing_that_the_loss_would_not_use_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="label_smoothing above 0 goes with loss=robust"):
        DPORecipe(**settings)  # type: ignore[arg-type]
