"""What each checkpoint itself answers to the prompts of the measurement, kept under what decides it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlpersona.config import ModelConfig
from rlpersona.experiments.drift.cells import Asked
from rlpersona.store import Run
from rlpersona.tasks.identity import digest
from rlpersona.types import Model, Sampling

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "answers"


def own_answers(
    folder: Path,
    asked: Sequence[Asked],
    sampling: Sampling,
    model: ModelConfig,
    serving: Model,
    adapter: str | None,
    weights: str,
) -> pd.DataFrame:
    """One answer to each prompt, in order: role, question, text, ids, tokens, finish.

    Draws depend on the sampling and the place of the prompt alone, so two checkpoints with the same
    weights give the same answers. `ids` are without the token that ends the text; `tokens` counts them.
    `weights` stands for what was trained; an answer that is on the disk is not drawn again.
    """
    import pandas as pd

    run, name = Run(folder), f"{FOLDER}/{_key(asked, sampling, model, weights)}.parquet"
    if not (folder / name).exists():
        drawn = serving.generate([one.prompt for one in asked], sampling, adapter)
        rows = []
        for one, completion in zip(asked, drawn, strict=True):
            ids = list(completion.token_ids)
            ids = ids[:-1] if completion.finish == "stop" else ids
            rows.append(
                {
                    "role": one.role,
                    "question": one.question,
                    "text": completion.text,
                    "ids": ids,
                    "tokens": len(ids),
                    "finish": completion.finish,
                }
            )
        run.write_table(name, pd.DataFrame(rows))
    return pd.read_parquet(folder / name)


def sft_rows(asked: Sequence[Asked], answers: pd.DataFrame) -> str:
    """The answers as JSONL that a stage of SFT trains on; those that the cap cut are left out.

    A model trained on them, named in `controls`, shows what the text alone does without any reward.
    """
    lines = []
    for at, (one, text, finish) in enumerate(
        zip(asked, answers["text"], answers["finish"], strict=True)
    ):
        if finish == "stop" and text.strip():
            prompt = [{"role": m.role, "content": m.content} for m in one.prompt.messages]
            completion = [{"role": "assistant", "content": text.strip()}]
            row = {"prompt": prompt, "completion": completion, "id": str(at)}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def _key(asked: Sequence[Asked], sampling: Sampling, model: ModelConfig, weights: str) -> str:
    engine = model.model_dump(include={"name", "engine", "device", "dtype", "window"})
    prompts = [[(m.role, m.content) for m in one.prompt.messages] for one in asked]
    cells = [(one.role, one.question) for one in asked]
    drawn = [sampling.max_tokens, sampling.temperature, sampling.seed]
    return digest(sorted(engine.items()), weights, cells, prompts, drawn)[:24]
