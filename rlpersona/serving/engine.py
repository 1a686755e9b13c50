"""What answers: an engine that continues token ids, many requests at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rlpersona.config import ModelConfig
from rlpersona.models.encode import Encoder


@dataclass(frozen=True, slots=True)
class Ask:
    """Token ids and how to continue them. `seed` None: a draw that nobody can repeat."""

    ids: list[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    adapter: str | None = None
    stream: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of an answer, the tokens that it took, and in the last piece why it ended."""

    text: str
    tokens: int
    finish: str = ""


class Engine(Protocol):
    """A model that many requests share. All of it is called in the event loop of the service."""

    encoder: Encoder

    def answer(self, ask: Ask, identity: str) -> AsyncIterator[Piece]:
        """The answer in pieces, one if `ask.stream` is off; closing the iterator stops the work.

        Raises:
            ModelError: an adapter that does not fit.
            ServeError: the engine died.
        """
        ...

    def alive(self) -> bool:
        """Whether it can still answer."""
        ...

    async def close(self) -> None:
        """Free what it holds. Safe to call twice."""
        ...


def load_engine(config: ModelConfig, adapters: Sequence[str], in_flight: int) -> Engine:
    """Load a model for `in_flight` requests at a time; `adapters` are the folders it will be asked for.

    Raises:
        ModelError: the model, an adapter or the engine is not there or cannot be opened.
    """
    if config.engine == "vllm":
        from rlpersona.serving.engine_vllm import VLLMEngine

        return VLLMEngine(config, adapters, in_flight)
    from rlpersona.serving.engine_hf import HFEngine

    return HFEngine(config, in_flight)
