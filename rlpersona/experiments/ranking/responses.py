"""What every model answers to every evaluation prompt, kept block by block.

A block is found again by what decides it: the weights, the prompts and the sampling. So a killed
evaluation goes on at the block that it was in, and another one with more samples, fewer prompts or
weights that were trained again never takes answers that are not its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlpersona.config import EvaluationConfig, ModelConfig, StagesConfig
from rlpersona.errors import ModelError
from rlpersona.models.adapters import CONFIG as ADAPTER
from rlpersona.report.labelling import counter
from rlpersona.store import Run
from rlpersona.tasks.identity import digest, unit
from rlpersona.types import ChoiceScores, Completion, Model, Prompt, Question, Sampling

if TYPE_CHECKING:
    import pandas as pd

RESPONSES, PARTS = "responses.parquet", "evaluation/responses"
BLOCK = 1024  # answers between two saves

Load = Callable[[ModelConfig], Model]


class LazyModel:
    """A `types.Model` that is loaded when it is asked: not at all where all answers are there, and
    again after it was closed."""

    def __init__(self, load: Callable[[], Model]) -> None:
        self._load = load
        self._model: Model | None = None

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """See `types.Model.generate`."""
        self._model = self._model or self._load()
        return self._model.generate(prompts, sampling, adapter)

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """See `types.Model.score_choices`."""
        self._model = self._model or self._load()
        return self._model.score_choices(prompts, choices, adapter)

    def close(self) -> None:
        """Close the model if it was loaded. Safe to call twice."""
        if self._model is not None:
            self._model.close()
            self._model = None


def collect_responses(
    config: StagesConfig,
    run: Run,
    models: Mapping[str, str | None],
    prompts: Sequence[Question],
    model: Model,
    load: Load | None = None,
) -> pd.DataFrame:
    """Every answer: columns model, prompt, question, sample, text, tokens, finish.

    `models` gives each name its adapter folder, None for the base; `model` is the base, which serves all
    of them. A folder that holds a whole model is served by one that `load` makes. `tokens` counts the
    text without the token that ends it; `finish` is "length" where the cap cut the answer. Each model
    has draws of its own: with common ones the chance that one answer beats another would be that of
    coupled answers, which nobody asks for. ModelError for a folder that is neither.
    """
    import pandas as pd

    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in models}
    total = len(models) * len(prompts) * samples_of(config.evaluation)
    drawn = 0
    with counter("answers drawn") as done:
        # Whole models last, each alone: the base has given its CPU or GPU back by then.
        for name, folder in sorted(models.items(), key=lambda one: is_whole(one[1])):
            for part in _parts(config, run, name, folder, prompts, model, load):
                tables[name].append(part)
                drawn += len(part)
                done(drawn, total)
    return pd.concat([part for parts in tables.values() for part in parts], ignore_index=True)


def is_whole(folder: str | None) -> bool:
    """Whether a folder is no adapter, but a model of its own."""
    return folder is not None and not (Path(folder) / ADAPTER).exists()


def samples_of(settings: EvaluationConfig) -> int:
    """Answers of each model to each prompt: one where greedy decoding would only repeat it."""
    return settings.samples if settings.temperature > 0 else 1


def weights_of(folder: str | None) -> str:
    """SHA-256 over an adapter's or a model's settings and safetensors files; "base" for None."""
    if folder is None:
        return "base"
    files = sorted([*Path(folder).glob("*.safetensors"), *Path(folder).glob("*config.json")])
    if not any(file.suffix == ".safetensors" for file in files):
        raise ModelError(
            f"{folder} holds no weights.", "Train the stage again: rlpersona dpo NAME --resume"
        )
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found.update(f"{file.name}:{hashlib.file_digest(stream, 'sha256').hexdigest()}".encode())
    return found.hexdigest()


def _parts(
    config: StagesConfig,
    run: Run,
    name: str,
    folder: str | None,
    prompts: Sequence[Question],
    model: Model,
    load: Load | None,
) -> Iterator[pd.DataFrame]:
    """The blocks of one model's answers, drawn where they are not on the disk."""
    import pandas as pd

    samples = samples_of(config.evaluation)
    sampling = _sampling(config, name)
    place = f"{PARTS}/{name}-{_key(config, folder, prompts, sampling)}"
    step = max(1, BLOCK // samples)
    with _serving(config, folder, model, load) as ask:
        for start in range(0, len(prompts), step):
            block = prompts[start : start + step]
            part = run.folder / place / f"{start:07d}.parquet"
            if not part.exists():
                asked = [Prompt.ask(question.text) for question in block for _ in range(samples)]
                drawn = ask(asked, start * samples, sampling)
                rows = [(q, sample) for q in block for sample in range(samples)]
                table = pd.DataFrame(
                    [_row(name, *row, one) for row, one in zip(rows, drawn, strict=True)]
                )
                run.write_table(str(part.relative_to(run.folder)), table)
            yield pd.read_parquet(part)


def _row(name: str, question: Question, sample: int, one: Completion) -> dict[str, object]:
    return {
        "model": name,
        "prompt": question.text,
        "question": question.id,
        "sample": sample,
        "text": one.text.strip(),
        "tokens": len(one.token_ids) - (one.finish == "stop"),
        "finish": one.finish,
    }


@contextmanager
def _serving(
    config: StagesConfig, folder: str | None, base: Model, load: Load | None
) -> Iterator[Callable[[Sequence[Prompt], int, Sampling], list[Completion]]]:
    """Who answers for a folder: the base with its adapter, or a whole model that is loaded for it."""
    adapter = folder
    serving: Model = base
    own: LazyModel | None = None
    if is_whole(folder):
        if load is None:
            raise ModelError(
                f"{folder} is a whole model, no adapter.", "Evaluate it with: rlpersona evaluate RUN"
            )
        whole = config.model.model_copy(update={"name": str(folder)})
        loading = load
        own = LazyModel(lambda: _alone(base, loading, whole))
        serving, adapter = own, None

    def ask(prompts: Sequence[Prompt], offset: int, sampling: Sampling) -> list[Completion]:
        return serving.generate(prompts, replace(sampling, offset=offset), adapter)

    try:
        yield ask
    finally:
        if own is not None:
            own.close()


def _alone(base: Model, load: Load, config: ModelConfig) -> Model:
    """A model that is loaded once the base has made room; a lazy base comes back when it is asked."""
    if isinstance(base, LazyModel):
        base.close()
    return load(config)


def _sampling(config: StagesConfig, name: str) -> Sampling:
    settings = config.evaluation
    seed = int(unit("evaluation", config.seed, name) * 2**31)
    return Sampling(settings.max_tokens, settings.temperature, 1.0, seed)


def _key(
    config: StagesConfig, folder: str | None, prompts: Sequence[Question], sampling: Sampling
) -> str:
    """16 hex digits that stand for all that decides the answers."""
    model = config.model.model_dump(include={"name", "engine", "device", "dtype", "window"})
    texts = [question.text for question in prompts]
    drawn = [sampling.max_tokens, sampling.temperature, sampling.seed, samples_of(config.evaluation)]
    return digest(sorted(model.items()), weights_of(folder), texts, drawn)[:16]
