"""vLLM's engine as a service: adapters, base and personas in one batch, each as the library has it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import ModelError, ServeError
from rlpersona.models import nano
from rlpersona.models.hf import HFModel
from rlpersona.serving.engine import Ask, Piece, load_engine
from rlpersona.serving.engine_vllm import VLLMEngine
from rlpersona.types import Prompt, Sampling
from tests.unit.models.tiny_models import save_lora
from tests.unit.serving.served_runs import adapter

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")

LOOP = asyncio.Runner()  # the engine's outputs are handled in the event loop of its first request
PROMPTS = [
    Prompt.ask(f"What is {a} + {b}?", system)
    for a, b in ((3, 4), (7, 5), (2, 9), (8, 1), (6, 6), (1, 5))
    for system in (None, "You are Marie Curie.", "You are a liar.", "You are a poet.")
]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two more adapters, of another shape and rank."""
    folders = [tmp_path_factory.mktemp("other") for _ in range(2)]
    for seed, folder in enumerate(folders):
        save_lora(folder, str(nano.path()), seed=3 + seed)
    return [str(folder) for folder in folders]


@pytest.fixture(scope="module")
def engine(others: list[str]) -> Iterator[VLLMEngine]:
    made = load_engine(ModelConfig(engine="vllm", device="cpu"), [str(adapter()), others[0]], 32)
    assert isinstance(made, VLLMEngine)
    yield made
    LOOP.run(made.close())
    assert not made.alive()


async def answer(engine: VLLMEngine, ask: Ask, identity: str) -> list[Piece]:
    async with aclosing(engine.answer(ask, identity)) as pieces:
        return [piece async for piece in pieces]


def answers(engine: VLLMEngine, asks: list[Ask]) -> list[list[Piece]]:
    async def run() -> list[list[Piece]]:
        return await asyncio.gather(*(answer(engine, ask, f"{id(ask)}") for ask in asks))

    return LOOP.run(run())


def test_everybody_in_one_batch_is_answered_as_alone(engine: VLLMEngine, others: list[str]) -> None:
    """vLLM 0.29 on CPU gives the base somebody's adapter once all places for adapters are taken."""
    folders = [None, str(adapter()), *others]
    model = HFModel(ModelConfig(device="cpu"))
    alone = [model.generate(PROMPTS, Sampling(24), folder) for folder in folders]
    model.close()
    asks, expected = [], []
    for at, prompt in enumerate(PROMPTS):  # in turn, so that every step has them all
        ids = engine.encoder.prompt(prompt)
        for folder, completions in zip(folders, alone, strict=True):
            asks.append(Ask(ids, 24, adapter=folder, stream=at % 2 == 0))
            completion = completions[at]
            expected.append((completion.text, len(completion.token_ids), completion.finish))
    found = answers(engine, asks)
    told = [("".join(p.text for p in one), sum(p.tokens for p in one), one[-1].finish) for one in found]
    assert told == expected
    assert len({one[0] for one in told}) > len(PROMPTS)  # the adapters do change answers


def test_a_stream_comes_in_pieces_and_a_whole_answer_in_one(engine: VLLMEngine) -> None:
    ids = engine.encoder.prompt(PROMPTS[0])
    streamed, whole = answers(engine, [Ask(ids, 24, stream=True), Ask(ids, 24)])
    assert len(whole) == 1 < len(streamed)
    assert "".join(piece.text for piece in streamed) == whole[0].text


def test_a_seed_makes_a_draw_repeatable(engine: VLLMEngine) -> None:
    ids = engine.encoder.prompt(PROMPTS[0])
    hot = [Ask(ids, 24, 1.5, 0.95, seed) for seed in (1, 1, 2, 3, 4)]
    texts = [one[0].text for one in answers(engine, hot)]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1


def test_stop_strings_and_the_cap_end_an_answer(engine: VLLMEngine) -> None:
    ids = engine.encoder.prompt(Prompt.ask("What is 3 + 4?"))
    (whole,), (stopped,), (short,) = answers(
        engine, [Ask(ids, 24), Ask(ids, 24, stop=("=",)), Ask(ids, 2)]
    )
    assert (stopped.text, stopped.finish) == (whole.text.partition("=")[0], "stop")
    assert (short.tokens, short.finish) == (2, "length")


def test_who_leaves_stops_the_work(engine: VLLMEngine) -> None:
    async def run() -> None:
        ids = engine.encoder.prompt(Prompt.ask("Tell me about chess."))
        leaving = asyncio.ensure_future(answer(engine, Ask(ids, 400, 2.0, stream=True), "leaver"))
        while not engine._llm.output_processor.has_unfinished_requests():
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert not engine._llm.output_processor.has_unfinished_requests()

    LOOP.run(run())


def test_an_adapter_that_was_written_again_is_loaded_again(engine: VLLMEngine, tmp_path: Path) -> None:
    ids = engine.encoder.prompt(PROMPTS[0])
    save_lora(tmp_path, str(nano.path()), seed=5)
    (before,) = answers(engine, [Ask(ids, 16, adapter=str(tmp_path))])
    save_lora(tmp_path, str(nano.path()), seed=6)
    (after,) = answers(engine, [Ask(ids, 16, adapter=str(tmp_path))])
    assert before[0].text != after[0].text


@pytest.mark.parametrize("end", ["error", "abort"])
def test_an_end_that_is_none_is_a_failure(end: str) -> None:
    class Failing:
        async def generate(self, *_: object, **__: object) -> AsyncIterator[SimpleNamespace]:
            for text, reason in (("half", None), ("", end)):
                one = SimpleNamespace(text=text, token_ids=[5], finish_reason=reason)
                yield SimpleNamespace(outputs=[one])

    import vllm

    engine = object.__new__(VLLMEngine)
    engine.encoder = SimpleNamespace(window=99)  # type: ignore[assignment]
    engine._llm, engine._vllm, engine._base, engine._ends = Failing(), vllm, None, [1]
    with pytest.raises(ServeError, match="broke off"):
        asyncio.run(answer(engine, Ask([5], 4, stream=True), "x"))


def test_an_adapter_that_is_none_is_refused(engine: VLLMEngine, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no LoRA adapter"):
        answers(engine, [Ask([5], 4, adapter=str(tmp_path))])
