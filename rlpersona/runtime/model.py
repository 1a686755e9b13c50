"""A language model served by a pool of replicas, behind the same protocol as one in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rlpersona.config import ModelConfig
from rlpersona.models import load_model
from rlpersona.runtime import metrics
from rlpersona.runtime.pool import ReplicaPool
from rlpersona.types import ChoiceScores, Completion, Model, Prompt, Sampling

Progress = Callable[[int], None]


class PooledModel:
    """`types.Model` over `config.replicas` replicas; needs a running Ray (`ray_session`).

    A call is cut into chunks of `config.chunk` prompts, in order, each with its `Sampling.offset`:
    what is computed together does not depend on how many replicas there are, so neither do results.
    `on_done(n)`, if set, is called whenever n more prompts of a call are done.
    """

    def __init__(self, config: ModelConfig, on_done: Progress | None = None) -> None:
        self._chunk = config.chunk
        self.on_done = on_done
        self.pool: ReplicaPool[Model] = ReplicaPool(
            partial(load_model, config),
            replicas=config.replicas,
            cpus=config.cpus_per_replica,
            gpus=config.gpus_per_replica,
            max_restarts=config.max_restarts,
        )

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """One completion per prompt, in order (see `types.Model.generate`)."""
        return self._map(
            "generate",
            (
                (prompts[at : at + self._chunk], replace(sampling, offset=sampling.offset + at), adapter)
                for at in range(0, len(prompts), self._chunk)
            ),
        )

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """Log-likelihoods of `choices[i]` after `prompts[i]`, in order (see `types.Model`)."""
        if len(prompts) != len(choices):
            raise ValueError(f"{len(prompts)} prompts, but choices for {len(choices)}")
        return self._map(
            "score_choices",
            (
                (prompts[at : at + self._chunk], choices[at : at + self._chunk], adapter)
                for at in range(0, len(prompts), self._chunk)
            ),
        )

    def close(self) -> None:
        """Stop the replicas. Safe to call twice."""
        self.pool.close()

    def _map(self, method: str, parts: Iterator[tuple[Any, ...]]) -> list[Any]:
        on_done = self.on_done

        def report(_: int, results: list[Any]) -> None:
            count(results)
            if on_done is not None:
                on_done(len(results))

        return [result for results in self.pool.map(method, parts, report) for result in results]


def count(results: Sequence[Completion | ChoiceScores]) -> None:
    """Tell the metrics how much was written, or scored."""
    for kind, tokens in (
        ("written", [len(one.token_ids) for one in results if isinstance(one, Completion)]),
        ("scored", [sum(one.token_counts) for one in results if isinstance(one, ChoiceScores)]),
    ):
        metrics.record(metrics.COMPLETIONS, len(tokens), kind=kind)
        metrics.record(metrics.TOKENS, sum(tokens), kind=kind)
