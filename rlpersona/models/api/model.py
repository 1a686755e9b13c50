"""Personas that are answered by a model behind an API, and embeddings from one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeVar

from rlpersona.errors import CallError, ModelError
from rlpersona.models.api import Provider, key_for, provider_for
from rlpersona.types import ApiCall, ApiReply, ChoiceScores, Completion, Prompt, Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")
AskAll = Callable[[Sequence[ApiCall]], Sequence[ApiReply]]

RETRIED = {"rate", "server", "timeout", "connection"}
EMBED_BATCH = 256  # texts in one request; the API takes 2048, but also at most 300k tokens


class ApiModel:
    """A model behind an API; implements `types.Model`, without likelihoods and adapters.

    Completions have no token ids and no logprobs. What a content filter ended is an answer like any
    other: its text, often empty or a refusal. `ask_all` answers all calls of a `generate` in order; by
    default they are sent `concurrency` at a time and failures that may pass are asked `attempts` times.
    Give another (with a ledger, a pace, a cost cap) where calls are many or must not be paid for twice.
    """

    def __init__(
        self,
        provider: Literal["openai", "anthropic"],
        name: str,
        base_url: str = "",
        *,
        concurrency: int = 16,
        attempts: int = 6,
        timeout: float = 120.0,
        ask_all: AskAll | None = None,
    ) -> None:
        self.provider, self.name, self.base_url = provider, name, base_url
        self._concurrency, self._attempts, self._timeout = concurrency, attempts, timeout
        self._ask_all = ask_all or self._ask_plainly
        if ask_all is None:
            key_for(provider, base_url)  # a missing key is said before any work is done

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, adapter: str | None = None
    ) -> list[Completion]:
        """One completion per prompt, in order (see `types.Model.generate`).

        Raises:
            ModelError: an adapter, or a prompt with a cue: an API's answers cannot be begun for it.
            CallError: a call failed in a way that asking again does not mend.
        """
        if adapter is not None:
            raise ModelError(f"{self.name} is behind an API and takes no adapter '{adapter}'")
        if cue := next((prompt.cue for prompt in prompts if prompt.cue), ""):
            raise ModelError(
                f"{self.name} is behind an API, which cannot begin an answer with the cue '{cue}'",
                "Ask open questions without a cue, or use engine=hf or vllm.",
            )
        replies = self._ask_all([self._call(prompt, sampling, i) for i, prompt in enumerate(prompts)])
        return [
            Completion(reply.text, (), (), "length" if reply.finish == "length" else "stop")
            for reply in replies
        ]

    def score_choices(
        self, prompts: Sequence[Prompt], choices: Sequence[Sequence[str]], adapter: str | None = None
    ) -> list[ChoiceScores]:
        """Refused: an API gives no likelihoods of given texts.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"{self.name} is behind an API, which gives no likelihoods of choices", "Use mode=generate."
        )

    def close(self) -> None:
        """Nothing is held between calls."""

    def _call(self, prompt: Prompt, sampling: Sampling, index: int) -> ApiCall:
        # A greedy answer does not depend on the place of its prompt, so it is the same call anywhere.
        placed = (
            replace(sampling, offset=sampling.offset + index)
            if sampling.temperature
            else Sampling(sampling.max_tokens)
        )
        return ApiCall(self.provider, self.name, prompt.messages, placed, self.base_url)

    def _ask_plainly(self, calls: Sequence[ApiCall]) -> list[ApiReply]:
        return _blocking(self._gather(calls))

    async def _gather(self, calls: Sequence[ApiCall]) -> list[ApiReply]:
        provider = provider_for(self.provider, self.base_url, key_for(self.provider, self.base_url))
        gate = asyncio.Semaphore(self._concurrency)

        async def answer(call: ApiCall) -> ApiReply:
            async with gate:
                return await self._answer(provider, call)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(answer(call)) for call in calls]
        except* CallError as failures:
            raise _first(failures) from None
        finally:
            await provider.close()
        return [task.result() for task in tasks]

    async def _answer(self, provider: Provider, call: ApiCall) -> ApiReply:
        async def once() -> ApiReply:
            return (await provider.ask(call, self._timeout))[0]

        try:
            return await _patiently(once, self._attempts)
        except CallError as error:
            if error.kind != "filter":
                raise
            return ApiReply("", "filter", 0, 0, call.model)


def embed(
    texts: Sequence[str],
    model: str = "text-embedding-3-small",
    base_url: str = "",
    *,
    attempts: int = 6,
    timeout: float = 120.0,
) -> NDArray[np.float32]:
    """Embeddings `[texts, dimensions]` from OpenAI, or from a server of its format.

    Raises:
        CallError: as `Provider.ask`, after `attempts` where asking again may help.
        JudgeError: no API key.
    """
    return _blocking(_embed(texts, model, base_url, attempts, timeout))


async def _embed(
    texts: Sequence[str], model: str, base_url: str, attempts: int, timeout: float
) -> NDArray[np.float32]:
    import numpy as np

    from rlpersona.models.api.openai import OpenAIProvider

    provider = OpenAIProvider(base_url, key_for("openai", base_url))
    parts = []
    try:
        for start in range(0, len(texts), EMBED_BATCH):
            batch = texts[start : start + EMBED_BATCH]

            async def once(batch: Sequence[str] = batch) -> NDArray[np.float32]:
                return await provider.embed(batch, model, timeout)

            parts.append(await _patiently(once, attempts))
    finally:
        await provider.close()
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


async def _patiently(once: Callable[[], Awaitable[T]], attempts: int) -> T:
    """Ask until it works, with growing jittered waits, never shorter than the server asks for."""
    for attempt in range(1, attempts):
        try:
            return await once()
        except CallError as error:
            if error.kind not in RETRIED:
                raise
            wait = random.uniform(0.5, 1.0) * min(30.0, 0.5 * 2**attempt)
            await asyncio.sleep(max(wait, error.retry_after or 0.0))
    return await once()


def _first(failures: BaseExceptionGroup[CallError]) -> CallError:
    """The first failure of a task group, which holds all of those that came in the same moment."""
    leaf: BaseException = failures
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, CallError)
    return leaf


def _blocking(work: Coroutine[None, None, T]) -> T:
    """Run to the end, also where an event loop already runs in this thread (a notebook)."""
    try:
        asyncio.get_running_loop()
        running = True
    except RuntimeError:
        running = False
    if not running:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
