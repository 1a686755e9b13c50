"""A chain of three stages on the nano model, with the logits of each training process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rlpersona.training import LocalCheckpoints, Start
from rlpersona.training import dpo as dpo_module
from rlpersona.training import sft as sft_module
from tests.unit.training.stages import NANO, QUESTIONS, dpo_job, sft_job


@dataclass(frozen=True)
class Chain:
    """`starts[n]` begins after n stages; `logits[n - 1]` are those of stage n's own process.

    There is one tensor (1, tokens, vocabulary) for each row of `ids`.
    """

    starts: list[Start]
    logits: list[Any]
    ids: list[Any]


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    import torch
    from transformers import AutoTokenizer

    from rlpersona.models import nano

    folder = tmp_path_factory.mktemp("chain")
    tokenizer = AutoTokenizer.from_pretrained(nano.path())
    ids = [torch.tensor([tokenizer(question)["input_ids"]]) for question in QUESTIONS[:3]]
    logits: list[Any] = []
    starts = [NANO]

    def watched(save: Any) -> Any:
        def save_and_look(trainer: Any, out: Path, lineage: Any) -> Any:
            trainer.model.eval()
            with torch.no_grad():
                logits.append([trainer.model(row).logits for row in ids])
            return save(trainer, out, lineage)

        return save_and_look

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sft_module, "save_result", watched(sft_module.save_result))
        patch.setattr(dpo_module, "save_result", watched(dpo_module.save_result))
        sft_module.train_sft(sft_job(folder), LocalCheckpoints(folder / "c0"))
        starts.append(Start(NANO.model, (("sft", folder / "sft/adapter"),)))
        for stage in ("rlaif", "rlhf"):
            job = dpo_job(folder, starts[-1], stage=stage, lora={"rank": 2, "alpha": 8})
            dpo_module.train_dpo(job, LocalCheckpoints(folder / f"c-{stage}"))
            starts.append(Start(NANO.model, (*starts[-1].adapters, (stage, folder / stage / "adapter"))))
    return Chain(starts, logits, ids)
