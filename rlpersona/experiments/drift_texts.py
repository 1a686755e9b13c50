"""What each checkpoint itself answers to the prompts of the measurement, kept under what decides it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlpersona.config import ModelConfig
from rlpersona.experiments.drift_cells import Asked
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


def _key(asked: Sequence[Asked], sampling: Sampling, model: ModelConfig, weights: str) -> str:
    engine = model.model_dump(include={"name", "engine", "device", "dtype", "window"})
    prompts = [[(m.role, m.content) for m in one.prompt.messages] for one in asked]
    cells = [(one.role, one.question) for one in asked]
    drawn = [sampling.max_tokens, sampling.temperature, sampling.seed]
    return digest(sorted(engine.items()), weights, cells, prompts, drawn)[:24]
