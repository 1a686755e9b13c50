"""Activations of one set of answers under one model, averaged by role and question, and kept.

A file of cells is found again by what decides it: the weights, the prompts, the answers. So a killed
run goes on where it was, and nothing is taken for the activations of other weights or texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rlpersona.axis.activations import Extractor
from rlpersona.config import ModelConfig
from rlpersona.runtime.pool import ReplicaPool
from rlpersona.store import atomic
from rlpersona.tasks.identity import digest
from rlpersona.types import Prompt

Floats32 = npt.NDArray[np.float32]
FOLDER = "cells"


@dataclass(frozen=True)
class Asked:
    """One prompt of the measurement: a role's system prompt and a question."""

    role: str
    question: str
    prompt: Prompt


@dataclass(frozen=True)
class Cells:
    """Mean activations (roles, questions, d) of each layer, read from a file layer by layer.

    nan where a role has no answer to a question. The first role is the default.
    """

    file: Path

    def layer(self, number: int) -> Floats32:
        """The cells of one layer."""
        from safetensors import safe_open

        with safe_open(self.file, "np") as stored:
            found: Floats32 = stored.get_slice("cells")[number]
        return found.reshape(found.shape[-3:])

    @property
    def layers(self) -> int:
        """How many layers there are."""
        from safetensors import safe_open

        with safe_open(self.file, "np") as stored:
            return int(stored.get_slice("cells").get_shape()[0])


class Readers:
    """Pools of extractors, one at a time: the one of the model that was asked for last."""

    def __init__(self) -> None:
        self._model: ModelConfig | None = None
        self._pool: ReplicaPool[Extractor] | None = None

    def of(self, model: ModelConfig) -> ReplicaPool[Extractor]:
        """A pool of that model; needs a running Ray."""
        if self._pool is None or self._model != model:
            self.close()
            self._pool = ReplicaPool(
                partial(Extractor, model),
                replicas=model.replicas,
                cpus=model.cpus_per_replica,
                gpus=model.gpus_per_replica,
                max_restarts=model.max_restarts,
            )
            self._model = model
        return self._pool

    def close(self) -> None:
        """Stop the replicas. Safe to call twice."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def read_cells(
    folder: Path,
    asked: Sequence[Asked],
    answers: Sequence[str | Sequence[int]],
    model: ModelConfig,
    adapter: str | None,
    weights: str,
    readers: Readers,
) -> Cells:
    """The cells of `answers[i]` to `asked[i]` under a model with an adapter on, from the disk or anew.

    Rows of one role and question must stand together: a cell is averaged where it was computed, so the
    numbers do not depend on how many replicas there are. `weights` stands for what was trained.
    """
    file = folder / FOLDER / f"{_key(asked, answers, model, weights)}.safetensors"
    if not file.exists():
        roles, questions = places_of(asked)
        parts = list(_parts(asked, model.chunk))
        found: npt.NDArray[np.float32] | None = None
        calls = [([(asked[at].prompt, answers[at]) for at in part], adapter) for part in parts]
        for index, values in readers.of(model).stream("extract", calls):
            if found is None:
                shape = (values.shape[1], len(roles), len(questions), values.shape[2])
                found = np.full(shape, np.nan, np.float32)
            for (role, question), mean in _cell_means([asked[at] for at in parts[index]], values):
                found[:, roles[role], questions[question]] = mean
        assert found is not None, "nothing was asked"
        with stored(file) as save:
            save({"cells": found})
    return Cells(file)


def places_of(asked: Sequence[Asked]) -> tuple[dict[str, int], dict[str, int]]:
    """Place of each role and of each question among the cells, in the order in which they come."""
    roles = dict.fromkeys(one.role for one in asked)
    questions = dict.fromkeys(one.question for one in asked)
    return (
        {name: at for at, name in enumerate(roles)},
        {name: at for at, name in enumerate(questions)},
    )


@contextmanager
def stored(file: Path) -> Iterator[Any]:
    """The block gets `save(tensors)`, which writes them, whole or not at all."""
    from safetensors.numpy import save_file

    with atomic(file) as temporary:
        yield lambda tensors: save_file(tensors, temporary)


def _cell_means(asked: Sequence[Asked], values: Floats32) -> Iterator[tuple[tuple[str, str], Floats32]]:
    """(role, question) and the mean (layers, d) of its answers; answers without a token do not count."""
    cells: dict[tuple[str, str], list[int]] = {}
    for at, one in enumerate(asked):
        cells.setdefault((one.role, one.question), []).append(at)
    whole = np.asarray(np.isfinite(values).all(axis=(1, 2)), bool)
    for cell, rows in cells.items():
        kept = [at for at in rows if whole[at]]
        if kept:
            yield cell, values[kept].mean(axis=0, dtype=np.float64).astype(np.float32)


def _parts(asked: Sequence[Asked], size: int) -> Iterator[list[int]]:
    """Positions in parts of about `size`, no cell cut in two."""
    part: list[int] = []
    for at, one in enumerate(asked):
        before = asked[at - 1]
        if len(part) >= size and (one.role, one.question) != (before.role, before.question):
            yield part
            part = []
        part.append(at)
    if part:
        yield part


def _key(
    asked: Sequence[Asked],
    answers: Sequence[str | Sequence[int]],
    model: ModelConfig,
    weights: str,
) -> str:
    settings = model.model_dump(include={"name", "device", "dtype", "window", "batch_tokens", "chunk"})
    prompts = [[(m.role, m.content) for m in one.prompt.messages] for one in asked]
    cells = [(one.role, one.question) for one in asked]
    plain = [text if isinstance(text, str) else list(map(int, text)) for text in answers]
    return digest(sorted(settings.items()), weights, cells, prompts, plain)[:24]
