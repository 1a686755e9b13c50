"""The transformers engine as a service: what waits is answered together, whole answers at a time."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from rlpersona.config import ModelConfig
from rlpersona.errors import ServeError
from rlpersona.models.hf import HFModel
from rlpersona.serving.engine import Ask, Piece
from rlpersona.types import Completion, Sampling

Key = tuple[object, ...]
STOPPING = "the service is stopping"


@dataclass(eq=False)
class Waiting:
    """A request that no batch has taken yet."""

    ask: Ask
    answer: asyncio.Future[Completion]

    @property
    def key(self) -> Key:
        """Requests of one key can share a batch; a seeded draw belongs to its request alone."""
        ask = self.ask
        alone = id(self) if ask.temperature and ask.seed is not None else None
        return ask.adapter, ask.temperature, ask.top_p, ask.max_tokens, alone

    def fail(self, error: Exception) -> None:
        """Tell whoever still waits."""
        if not self.answer.done():
            self.answer.set_exception(error)


class HFEngine:
    """`serving.engine.Engine` over `HFModel`, for machines without vLLM.

    Answers come whole, also in a stream. While a batch is computed, in a thread of its own, the next
    one gathers: all waiting requests with the adapter and sampling of the one that came first.
    """

    def __init__(self, config: ModelConfig, in_flight: int) -> None:
        self._model = HFModel(config)
        self.encoder = self._model.encoder
        self._most = in_flight
        self._waiting: list[Waiting] = []
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hf-engine")
        self._closed = False

    async def answer(self, ask: Ask, identity: str) -> AsyncGenerator[Piece]:
        """See `Engine.answer`; a request that goes away before its batch begins costs nothing."""
        if not self.alive():
            raise ServeError(STOPPING)
        waiting = Waiting(ask, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        try:
            completion = await waiting.answer
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
        text, finish = cut(completion.text, ask.stop, completion.finish)
        yield Piece(text, len(completion.token_ids), finish)

    def alive(self) -> bool:
        """Whether it was not closed."""
        return not self._closed

    async def close(self) -> None:
        """Refuse who waits, let the batch at work end, free the model."""
        for waiting in self._waiting:
            waiting.fail(ServeError(STOPPING))
        self._waiting.clear()
        if not self._closed:
            self._closed = True
            freed = asyncio.get_running_loop().run_in_executor(self._thread, self._model.close)
            self._thread.shutdown(wait=False)
            await freed

    async def _work(self) -> None:
        """Batch after batch, until nobody waits."""
        while self._waiting:
            key = self._waiting[0].key
            batch = [one for one in self._waiting if one.key == key][: self._most]
            self._waiting = [one for one in self._waiting if one not in batch]
            try:
                answers = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._generate, [one.ask for one in batch]
                )
            except Exception as error:  # whatever failed belongs to those who asked
                for one in batch:
                    one.fail(error)
            else:
                for one, answer in zip(batch, answers, strict=True):
                    if not one.answer.done():  # the client may have gone
                        one.answer.set_result(answer)

    def _generate(self, asks: list[Ask]) -> list[Completion]:
        first = asks[0]
        seed = secrets.randbits(31) if first.seed is None else first.seed
        sampling = Sampling(first.max_tokens, first.temperature, first.top_p, seed)
        return self._model.continue_ids([ask.ids for ask in asks], sampling, first.adapter)


def cut(text: str, stops: tuple[str, ...], finish: str) -> tuple[str, str]:
    """The text up to the first stop string in it, and why it ended."""
    ends = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return (text[: min(ends)], "stop") if ends else (text, finish)
