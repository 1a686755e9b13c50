"""Personas behind an API, embeddings, and where keys come from."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rlpersona.errors import CallError, JudgeError, ModelError
from rlpersona.models.api import key_for
from rlpersona.models.api.model import ApiModel, embed
from rlpersona.types import ApiCall, ApiReply, Model, Prompt, Sampling
from tests.judge_server import Server, judge_server

KEY = "sk-canary-0123456789abcdef"
PROMPTS = [Prompt.ask(f"Question {i}?", "You are Marie Curie.") for i in range(12)]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with judge_server() as running:
        yield running


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    server.reset()
    server.faults(script=[], when={}, latency=0, retry_after=None, headers=True)
    for name in ("OPENAI_API_KEY_FILE", "ANTHROPIC_API_KEY_FILE", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def test_answers_come_in_the_order_of_the_prompts(server: Server) -> None:
    model: Model = ApiModel("openai", "m", server.base_url, concurrency=4)
    assert isinstance(model, Model)
    server.faults(latency=0.05)
    whole = model.generate(PROMPTS, Sampling(30))
    assert server.stats().most_in_flight == 4
    assert len({completion.text for completion in whole}) == 12
    parts = [model.generate([prompt], Sampling(30))[0] for prompt in PROMPTS[:3]]
    assert parts == whole[:3]
    assert {(c.token_ids, c.logprobs, c.finish) for c in whole} == {((), (), "stop")}
    assert model.generate([], Sampling(30)) == []


def test_a_cut_answer_says_so(server: Server) -> None:
    assert [
        c.finish for c in ApiModel("anthropic", "m", server.base_url).generate(PROMPTS[:1], Sampling(3))
    ] == ["length"]


def test_failures_that_pass_are_asked_again_and_a_blocked_prompt_is_an_empty_answer(
    server: Server,
) -> None:
    server.faults(script=["429"], retry_after=0.01, when={"Question 1?": "blocked"})
    texts = [
        c.text for c in ApiModel("openai", "m", server.base_url).generate(PROMPTS[:3], Sampling(30))
    ]
    assert [bool(text) for text in texts] == [True, False, True]
    assert server.stats().billed_twice == 0


def test_a_failure_that_stays_is_raised(server: Server) -> None:
    server.faults(when={"Question 5?": "quota"})
    with pytest.raises(CallError, match="quota") as caught:
        ApiModel("openai", "m", server.base_url).generate(PROMPTS, Sampling(30))
    assert caught.value.kind == "funds"
    server.faults(when={"Question 5?": "500"})
    with pytest.raises(CallError, match="500"):
        ApiModel("openai", "m", server.base_url, attempts=1).generate(PROMPTS, Sampling(30))


def test_what_an_api_cannot_do_is_refused(server: Server) -> None:
    model = ApiModel("openai", "m", server.base_url)
    with pytest.raises(ModelError, match="likelihoods") as caught:
        model.score_choices(PROMPTS[:1], [["a", "b"]])
    assert "mode=generate" in caught.value.hint
    with pytest.raises(ModelError, match="cue 'It is'"):
        model.generate([Prompt.ask("What?", cue="It is")], Sampling())
    with pytest.raises(ModelError, match="adapter"):
        model.generate(PROMPTS, Sampling(), adapter="x")
    assert server.stats().requests == 0
    model.close()
    model.close()


def test_calls_can_be_handed_to_another_asker() -> None:
    seen: list[ApiCall] = []

    def ask_all(calls: Sequence[ApiCall]) -> list[ApiReply]:
        seen.extend(calls)
        return [ApiReply(call.messages[-1].content.upper(), "filter", 1, 1) for call in calls]

    model = ApiModel("anthropic", "m", ask_all=ask_all)  # needs no key
    sampled = model.generate([PROMPTS[0], PROMPTS[0]], Sampling(9, temperature=1.0, seed=4, offset=10))
    assert [c.text for c in sampled] == ["QUESTION 0?"] * 2
    assert [call.sampling.offset for call in seen] == [10, 11]
    assert seen[0].key != seen[1].key
    seen.clear()
    model.generate([PROMPTS[0], PROMPTS[0]], Sampling(9, seed=4, offset=10))
    assert seen[0].key == seen[1].key


def test_it_works_inside_a_running_loop(server: Server) -> None:
    async def notebook() -> int:
        return len(ApiModel("openai", "m", server.base_url).generate(PROMPTS[:2], Sampling(30)))

    assert asyncio.run(notebook()) == 2


def test_embeddings(server: Server) -> None:
    texts = [f"the sea number {i}" for i in range(300)] + ["a completely different matter"]
    rows = embed(texts, "embedder", server.base_url)
    assert rows.shape == (301, 64)
    assert rows.dtype == np.float32
    assert server.stats().requests == 2  # 256 at a time
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)
    assert rows[0] @ rows[1] > 0.6 > rows[0] @ rows[300]
    np.testing.assert_array_equal(embed(texts[:1], "embedder", server.base_url), rows[:1])
    assert embed([], "embedder", server.base_url).shape[0] == 0


@pytest.mark.parametrize(("word", "kind"), [("401", "auth"), ("400", "request"), ("quota", "funds")])
def test_embeddings_fail_as_calls_do(server: Server, word: str, kind: str) -> None:
    server.faults(when={"sea": word})
    with pytest.raises(CallError) as caught:
        embed(["the sea"], "embedder", server.base_url)
    assert caught.value.kind == kind


def test_embeddings_are_asked_again(server: Server) -> None:
    server.faults(script=["garbage"])
    assert embed(["the sea"], "embedder", server.base_url).shape == (1, 64)
    assert server.stats().requests == 2


def test_a_key_comes_from_the_environment_or_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert key_for("openai") == KEY
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    assert key_for("openai") == KEY
    file = tmp_path / "key"
    file.write_text(f"{KEY}2\n")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(file))
    assert key_for("anthropic") == KEY + "2"
    assert KEY not in repr(key_for("anthropic")) + repr({"k": key_for("openai")})


def test_a_missing_or_broken_key_is_said_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(JudgeError, match="ANTHROPIC_API_KEY is empty") as caught:
        key_for("anthropic")
    assert "ANTHROPIC_API_KEY_FILE" in caught.value.hint
    assert key_for("anthropic", "http://127.0.0.1:8000") == "none"
    with pytest.raises(JudgeError, match="no API key"):
        ApiModel("anthropic", "m")
    monkeypatch.setenv("ANTHROPIC_API_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(JudgeError, match="nowhere"):
        key_for("anthropic", "http://127.0.0.1:8000")
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY} {KEY}")
    with pytest.raises(JudgeError, match="blanks") as caught:
        key_for("openai")
    assert KEY not in str(caught.value) + caught.value.hint
    with pytest.raises(JudgeError, match="mistral"):
        key_for("mistral")
