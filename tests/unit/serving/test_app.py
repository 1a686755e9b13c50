"""The service over the nano model on transformers: answers, provenance, feedback, failures."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from rlpersona.config import GRPOConfig, ModelConfig, ServeConfig
from rlpersona.errors import ConfigError, ModelError, RunError, ServeError
from rlpersona.models.hf import HFModel
from rlpersona.serving.asgi import Event, while_connected
from rlpersona.serving.catalog import Catalog
from rlpersona.serving.engine import Ask
from rlpersona.serving.engine_hf import HFEngine, cut
from rlpersona.serving.feedback import FeedbackBook
from rlpersona.serving.places import Places
from rlpersona.serving.server import App, build_app, settled
from rlpersona.types import Message, Prompt, Sampling
from tests.unit.serving.served_runs import adapter, bandit_run, trained_run

BASE = ModelConfig(device="cpu")
QUESTION = "What is 3 + 4?"
LOOP = asyncio.Runner()  # of the shared app: what waits in it belongs to one event loop


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    bandit_run(folder, "search", updates=3)
    trained_run(folder, GRPOConfig(name="trained"), ["adapter", "steps/step-000002"])
    return folder


@pytest.fixture(scope="module")
def app(root: Path) -> Iterator[App]:
    config = ServeConfig(runs=("search", "trained"), model=ModelConfig(name="", device="cpu"))
    config, names = settled(config, root)
    assert {"base", "trained", "trained@2", "search", "bandit:search"} <= set(names)
    made = build_app(config.model_copy(update={"queue": 1, "in_flight": 2}), root)
    yield made
    LOOP.run(made.close())


@pytest.fixture(scope="module")
def model() -> Iterator[HFModel]:
    held = HFModel(BASE)
    yield held
    held.close()


def call(app: App, *bodies: dict[str, Any], path: str = "/v1/chat/completions") -> list[httpx.Response]:
    """Responses to requests that are sent at the same time."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await asyncio.gather(*(client.post(path, json=body) for body in bodies))

    return LOOP.run(run())


def get(app: App, path: str) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path)

    return LOOP.run(run())


def chat(name: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": QUESTION}]
    return {"model": name, "messages": messages, "temperature": 0, "max_tokens": 24, **more}


def said(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def test_greedy_answers_are_those_of_the_library(app: App, model: HFModel) -> None:
    prompts = [Prompt.ask(QUESTION), Prompt.ask(QUESTION, "You are Marie Curie.")]
    plain, curie = model.generate(prompts, Sampling(24))
    (trained,) = model.generate(prompts[:1], Sampling(24), str(adapter()))
    names = ("base", "persona:Marie Curie", "trained")
    assert [said(call(app, chat(name))[0]) for name in names] == [plain.text, curie.text, trained.text]
    assert plain.text != trained.text


def test_a_seeded_draw_is_that_of_the_library(app: App, model: HFModel) -> None:
    (drawn,) = model.generate([Prompt.ask(QUESTION)], Sampling(24, 1.5, 0.9, seed=7))
    body = chat("base", temperature=1.5, top_p=0.9, seed=7)
    alone, *together = [said(one) for one in [*call(app, body), *call(app, body, chat("base"), body)]]
    assert alone == together[0] == together[2] == drawn.text


def test_a_request_keeps_its_own_system_message(app: App, model: HFModel) -> None:
    own = [{"role": "system", "content": "You are a poet."}, {"role": "user", "content": QUESTION}]
    (answer,) = model.generate([Prompt.ask(QUESTION, "You are a poet.")], Sampling(24))
    (response,) = call(app, chat("persona:Marie Curie", messages=own))
    assert said(response) == answer.text


def test_usage_and_finish_are_the_models(app: App, model: HFModel) -> None:
    (cut_off,) = model.generate([Prompt.ask(QUESTION)], Sampling(3))
    (response,) = call(app, chat("base", max_tokens=3))
    body = response.json()
    assert said(response) == cut_off.text
    assert body["choices"][0]["finish_reason"] == "length"
    asked = len(model.encoder.prompt(Prompt.ask(QUESTION)))
    assert body["usage"] == {"prompt_tokens": asked, "completion_tokens": 3, "total_tokens": asked + 3}


def test_a_text_is_continued_as_it_stands(app: App, model: HFModel) -> None:
    ids = model.encoder.plain("The capital of France")
    (completion,) = model.continue_ids([ids], Sampling(5))
    body = {"model": "base", "prompt": "The capital of France", "max_tokens": 5, "temperature": 0}
    (response,) = call(app, body, path="/v1/completions")
    assert response.json()["choices"][0]["text"] == completion.text
    (refused,) = call(app, {**body, "model": "persona:Marie Curie"}, path="/v1/completions")
    assert refused.status_code == 400
    assert "system prompt" in refused.json()["error"]["message"]


def test_stop_strings_end_an_answer(app: App) -> None:
    whole = said(call(app, chat("base"))[0])
    (response,) = call(app, chat("base", stop=["=", "never"]))
    assert said(response) == whole.partition("=")[0]
    assert response.json()["choices"][0]["finish_reason"] == "stop"
    assert cut("abcb", ("x", "b"), "length") == ("a", "stop")


def test_a_stream_carries_the_same_answer_and_its_usage(app: App) -> None:
    whole = call(app, chat("trained"))[0].json()
    (response,) = call(app, chat("trained", stream=True, stream_options={"include_usage": True}))
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    pieces = [one["delta"].get("content", "") for chunk in chunks for one in chunk["choices"]]
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]


def test_provenance_stands_in_body_and_headers(app: App) -> None:
    (response,) = call(app, chat("trained@2"))
    about = response.json()["rlpersona"]
    assert (about["run"], about["step"]) == ("trained", 2)
    assert len(about["adapter_sha256"]) == 64
    assert response.headers["x-rlpersona-run"] == "trained"
    (drawn,) = call(app, chat("bandit:search"))
    assert drawn.headers["x-rlpersona-persona"]
    assert drawn.json()["rlpersona"]["run"] == "search"


def test_a_drawn_answer_takes_one_reward(app: App) -> None:
    identity = call(app, chat("bandit:search"))[0].json()["id"]
    body = {"response_id": identity, "reward": 1}
    first, again = (call(app, body, path="/v1/feedback")[0] for _ in range(2))
    assert first.json()["recorded"] is True
    assert again.json()["recorded"] is False
    (other,) = call(app, {**body, "reward": 0}, path="/v1/feedback")
    (nobody,) = call(app, {**body, "response_id": "chatcmpl-none"}, path="/v1/feedback")
    (wrong,) = call(app, {**body, "reward": "good"}, path="/v1/feedback")
    assert [one.status_code for one in (other, nobody, wrong)] == [409, 404, 400]


def test_failures_have_the_shape_of_the_api(app: App) -> None:
    (unknown,) = call(app, chat("trianed"))
    assert unknown.status_code == 404
    assert "trained" in unknown.json()["error"]["message"]
    (long,) = call(app, chat("base", messages=[{"role": "user", "content": "word " * 600}]))
    assert long.status_code == 400
    assert "512 tokens" in long.json()["error"]["message"]
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2
    (fine,) = call(app, chat("base", messages=turns[:3]))
    assert fine.status_code == 200
    assert get(app, "/v1/nothing").status_code == 404


def test_more_than_places_and_queue_hold_are_sent_away(app: App) -> None:
    responses = call(app, *[chat("base", max_tokens=2)] * 6)
    assert sorted(one.status_code for one in responses) == [200] * 3 + [503] * 3
    refused = next(one for one in responses if one.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert said(call(app, chat("base"))[0])


def test_places_are_given_back_by_whoever_leaves_the_queue() -> None:
    async def run() -> None:
        places = Places(1, 1)
        async with places.one():
            waiting = asyncio.ensure_future(hold(places))
            await asyncio.sleep(0)
            with pytest.raises(ServeError):
                await hold(places)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert (places.working, places.waiting) == (0, 0)
        await asyncio.wait_for(hold(places), 5)

    async def hold(places: Places) -> None:
        async with places.one():
            pass

    asyncio.run(run())


def test_metrics_count_answers_tokens_and_refusals(app: App) -> None:
    def read() -> dict[str, float]:
        lines = [line for line in get(app, "/metrics").text.splitlines() if line[0] != "#"]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}

    before = read()
    usage = said(call(app, chat("base"))[0]) and call(app, chat("base"))[0].json()["usage"]
    call(app, chat("nobody"))
    after = read()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    path = 'path="/v1/chat/completions"'
    assert grown(f'rlpersona_serve_requests_total{{{path},status="200"}}') == 2
    assert grown(f'rlpersona_serve_requests_total{{{path},status="404"}}') == 1
    assert grown('rlpersona_serve_tokens_total{kind="completion"}') == 2 * usage["completion_tokens"]
    assert after["rlpersona_serve_working"] == after["rlpersona_serve_waiting"] == 0


def test_health_tells_of_an_engine_that_is_gone(root: Path) -> None:
    made = build_app(ServeConfig(model=BASE), root)
    assert get(made, "/health").json() == {"status": "ok"}
    LOOP.run(made.close())
    assert get(made, "/health").status_code == 503


def test_a_service_that_ends_lets_go_of_its_files(root: Path) -> None:
    config = ServeConfig(runs=("search",), model=BASE)
    made = build_app(config, root)
    identity = call(made, chat("bandit:search", max_tokens=2))[0].json()["id"]
    call(made, {"response_id": identity, "reward": 1}, path="/v1/feedback")
    catalog, feedback = made.service._catalog, made.service._feedback
    assert isinstance(catalog, Catalog)
    assert isinstance(feedback, FeedbackBook)
    books = [catalog.policies["search"].book, feedback._open["search"]]
    for _ in range(2):
        LOOP.run(made.close())
    for book in books:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            book.draw_of(identity)


def test_a_long_prompt_holds_up_nobody(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, threads = app.service._engine.encoder, list[str]()
    encode = encoder.prompt

    def watched(prompt: Prompt) -> list[int]:
        threads.append(threading.current_thread().name)
        return encode(prompt)

    monkeypatch.setattr(encoder, "prompt", watched)
    for text, status in (("word " * 20_000, 400), (QUESTION, 200)):
        messages = [{"role": "user", "content": text}]
        assert call(app, chat("base", max_tokens=2, messages=messages))[0].status_code == status
    assert threads[0] != threads[1] == threading.current_thread().name


def test_a_client_that_leaves_takes_its_request_out_of_the_queue() -> None:
    async def run() -> None:
        engine = HFEngine(BASE, 4)
        ids = engine.encoder.prompt(Prompt((Message("user", QUESTION),)))
        first = asyncio.ensure_future(answer(engine, Ask(ids, 60)))
        await asyncio.sleep(0.01)  # its batch has begun
        second = asyncio.ensure_future(answer(engine, Ask(ids, 60)))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert not engine._waiting
        assert (await first).startswith("3 + 4")
        await engine.close()

    asyncio.run(run())


def test_an_engine_that_closes_lets_its_batch_end_and_refuses_the_rest() -> None:
    async def run() -> None:
        engine = HFEngine(BASE, 1)
        asks = [Ask(engine.encoder.prompt(Prompt.ask(QUESTION)), 60)] * 2
        gate = threading.Event()
        engine._thread.submit(gate.wait)  # batches begin and do not end
        first, second = [asyncio.ensure_future(answer(engine, ask)) for ask in asks]
        while [waiting.ask for waiting in engine._waiting] != asks[1:]:
            await asyncio.sleep(0)
        closing = asyncio.ensure_future(engine.close())
        await asyncio.sleep(0)
        gate.set()
        await closing
        assert (await first).startswith("3 + 4")
        for refused in (second, asyncio.ensure_future(answer(engine, asks[0]))):
            with pytest.raises(ServeError, match="is stopping"):
                await refused
        await engine.close()

    asyncio.run(run())


async def answer(engine: HFEngine, ask: Ask) -> str:
    async with aclosing(engine.answer(ask, "x")) as pieces:
        return "".join([piece.text async for piece in pieces])


def test_a_disconnect_breaks_off_the_work_and_no_more() -> None:
    async def receive() -> Event:
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def run() -> str:
        async with while_connected(receive):
            await asyncio.sleep(60)
        await asyncio.sleep(0)  # the task itself goes on
        return "after"

    assert asyncio.run(run()) == "after"


def test_a_cancellation_from_outside_is_not_taken_for_a_disconnect() -> None:
    async def receive() -> Event:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def work() -> None:
        async with while_connected(receive):
            await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_mistakes_are_told_before_anything_is_loaded(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads(*_: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("rlpersona.serving.server.load_engine", loads)
    with pytest.raises(ConfigError, match="Nothing to serve"):
        settled(ServeConfig(), root)
    with pytest.raises(RunError, match="no run 'nobody'"):
        settled(ServeConfig(runs=("nobody",)), root)
    with pytest.raises(ModelError, match="no such folder"):
        settled(ServeConfig(model=ModelConfig(name="./nowhere")), root)
    with pytest.raises(ConfigError, match="no token"):
        settled(ServeConfig(model=BASE, host="0.0.0.0"), root)


def test_an_engine_that_breaks_is_one_clear_failure(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(ask: Ask, identity: str) -> AsyncIterator[Any]:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(app.service._engine, "answer", broken)
    for stream in (False, True):
        (response,) = call(app, chat("base", stream=stream))
        assert response.status_code == 503
        assert response.json()["error"]["message"].startswith("the service failed on this request")
