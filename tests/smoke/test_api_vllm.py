"""Both SDKs against a real server: vLLM on this machine's CPU, serving the nano model."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psutil
import pytest

from rlpersona.config import ModelConfig
from rlpersona.errors import CallError
from rlpersona.models import load_model, nano
from rlpersona.models.api import provider_for
from rlpersona.models.api.model import ApiModel
from rlpersona.types import ApiCall, ApiReply, Message, Prompt, Sampling
from tests.heads import free_port
from tests.processes import send, tree

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")

QUESTIONS = ("What is the capital of France?", "What is 3 + 4?", "Who are you?")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = tmp_path_factory.mktemp("vllm") / "server.log"
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(nano.path())]
    command += ["--served-model-name", "nano", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "float32", "--enforce-eager", "--block-size", "32"]
    command += ["--kv-cache-memory-bytes", "64M"]
    # nano has never seen JSON: let free to, it fills the answer with blanks.
    command += ["--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}']
    with log.open("w") as out:
        env = {**os.environ, "TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        server = psutil.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=env)
    try:
        wait_for_health(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        parts = tree(server)
        send([server], signal.SIGTERM)
        _, alive = psutil.wait_procs(parts, timeout=30)
        send(alive, signal.SIGKILL)


def wait_for_health(url: str, server: psutil.Popen, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + 240
    while True:
        assert server.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < end, log.read_text()[-3000:]
        try:
            opener.open(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)


def ask(address: str, call: ApiCall) -> ApiReply:
    async def run() -> ApiReply:
        provider = provider_for(call.provider, address, "none")
        try:
            return (await provider.ask(call, 60))[0]
        finally:
            await provider.close()

    return asyncio.run(run())


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_greedy_answers_are_those_of_the_model_itself(
    address: str, provider: Literal["openai", "anthropic"]
) -> None:
    prompts = [Prompt.ask(text, "You are Marie Curie.") for text in QUESTIONS]
    here = load_model(ModelConfig(device="cpu"))
    expected = here.generate(prompts, Sampling(24))
    here.close()
    served = ApiModel(provider, "nano", address).generate(prompts, Sampling(24))
    assert [c.text for c in served] == [c.text for c in expected]
    assert [c.finish for c in served] == [c.finish for c in expected]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_replies_count_their_tokens_and_say_when_they_were_cut(
    address: str, provider: Literal["openai", "anthropic"]
) -> None:
    turns = (Message("user", QUESTIONS[0]),)
    reply = ask(address, ApiCall(provider, "nano", turns, Sampling(2), address))
    assert (reply.finish, reply.output_tokens, reply.model) == ("length", 2, "nano")
    assert 5 < reply.input_tokens < 40


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_schema_binds_the_answer(address: str, provider: Literal["openai", "anthropic"]) -> None:
    winner = {"type": "object", "properties": {"winner": {"enum": ["A", "B"]}}, "required": ["winner"]}
    turns = (Message("user", "Which is better, A or B?"),)
    schema = json.dumps({**winner, "additionalProperties": False})
    reply = ask(address, ApiCall(provider, "nano", turns, Sampling(40), address, schema))
    assert json.loads(reply.text)["winner"] in ("A", "B")


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_errors_of_a_real_server_have_their_kind(
    address: str, provider: Literal["openai", "anthropic"]
) -> None:
    turns = (Message("user", "hello"),)
    with pytest.raises(CallError, match="nobody") as caught:
        ask(address, ApiCall(provider, "nobody", turns, Sampling(2), address))
    assert (caught.value.kind, caught.value.status) == ("request", 404)
    with pytest.raises(CallError) as caught:
        ask(address, ApiCall(provider, "nano", (Message("user", "word " * 5000),), Sampling(2), address))
    assert caught.value.kind == "request"


def test_a_seeded_draw_comes_back_and_another_sample_differs(address: str) -> None:
    turns = (Message("user", "What do you think of the sea?"),)
    calls = [
        ApiCall("openai", "nano", turns, Sampling(24, temperature=1.0, seed=7), address, sample=sample)
        for sample in (0, 0, 1, 2, 3)
    ]
    texts = [ask(address, call).text for call in calls]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 1
