"""A real HTTP server in a process of its own that speaks the OpenAI and Anthropic wire formats.

    with judge_server(latency=0.2, rpm=600, shares={"500": 0.01}) as server:
        provider_for("openai", server.base_url, "any key")
        ...
        server.stats().billed   # {hash of the request body: times it was answered and billed}

`server.base_url` ends in `/v1` and serves both formats. The faults are those of `Faults`, scripted or
drawn at random from the request's content, so that a fault does not depend on the order of arrival.
What becomes of one request is a word:

    ok       answered and billed
    400 ...  any HTTP status, with the provider's own error body (529: overloaded)
    quota    no credit left: 429 insufficient_quota (OpenAI), 400 about the credit balance (Anthropic)
    blocked  400 by the content filter (OpenAI's form); filter: a reply that the filter ended
    length   a reply that the token cap cut; empty: no text; wrong: text that is not what was asked for
    reset    the connection is reset instead of an answer; hang: no answer at all
    cut      billed, but the connection ends in mid-body; truncated: whole response, half the JSON
    garbage  200 with a page of HTML; slow: one byte of the answer every `drip` seconds
    expired  (batch rows) not run in time
    half     (by path) the first half of the answer, as if it were the whole; short: whole lines of it
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import random
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from aiohttp import web

from tests.judge_batches import Batches, add_batch_routes
from tests.judge_replies import FORMATS, Answer, Bucket, Format, vectors


@dataclass
class Faults:
    """How the server answers. Times are seconds; `rpm` and `tpm` are requests and tokens a minute."""

    latency: float = 0.0
    rpm: float | None = None
    tpm: float | None = None
    burst: float | None = None  # seconds' worth of the limits that may come at once (None: a minute's)
    headers: bool = True  # send rate-limit headers
    retry_after: str | float | None = None  # on 429 and 503: literal, or "date", or "exact"
    retry_after_ms: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)  # {"500": 0.01, "garbage": 0.005}
    script: Sequence[str] = ()  # what becomes of attempt 1, 2, ... of every request; then "ok"
    when: Mapping[str, str] = field(default_factory=dict)  # {part of the body: always this}
    replies: Mapping[str, str] = field(default_factory=dict)  # {part of the body: this text}
    paths: Mapping[str, Sequence[str]] = field(
        default_factory=dict
    )  # script by path, in order of arrival
    key: str = ""  # the one key that is let in (empty: any)
    drip: float = 0.5
    batch_seconds: float = 0.0  # until a batch ends
    batch_queue: int = 10**9  # rows a batch may have (OpenAI refuses a longer one once it has looked)
    batch_expires: bool = False  # rows left when a batch ends are expired, none is answered
    seed: int = 0


@dataclass
class Stats:
    """What the server saw; hashes are SHA-256 of the request body as sorted JSON."""

    requests: int = 0
    statuses: dict[str, int] = field(default_factory=dict)  # by HTTP status, or the fault's word
    billed: dict[str, int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    input_tokens: int = 0
    output_tokens: int = 0
    batches: int = 0  # batches that were made
    most_in_flight: int = 0
    in_flight: int = 0
    arrivals: list[float] = field(default_factory=list)  # seconds since the server started

    @property
    def billed_twice(self) -> int:
        """Answers that were paid for more than once."""
        return sum(self.billed.values()) - len(self.billed)


@dataclass(frozen=True)
class Server:
    """A running server, seen from the test."""

    base_url: str

    def stats(self) -> Stats:
        return Stats(**self._call("/_stats"))

    def faults(self, **changes: Any) -> None:
        """Change some faults while the server runs."""
        self._call("/_faults", changes)

    def reset(self) -> None:
        """Forget what was counted and start the scripts again."""
        self._call("/_reset", {})

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self.base_url.removesuffix("/v1") + path, data, timeout=30) as reply:
            return json.loads(reply.read())


@contextlib.contextmanager
def judge_server(**faults: Any) -> Iterator[Server]:
    """Start a server on a free port of 127.0.0.1; it ends with the block, or with this process."""
    command = [sys.executable, __file__, json.dumps(asdict(Faults(**faults)))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the judge server did not start"
        yield Server(f"http://127.0.0.1:{int(line)}/v1")
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(10)
        process.stdout.close()


class State:
    """Everything that the server remembers."""

    def __init__(self, faults: Faults) -> None:
        self.started = time.monotonic()
        self.use(faults)
        self.reset()

    def use(self, faults: Faults) -> None:
        self.faults = faults
        share = 1.0 if faults.burst is None else faults.burst / 60
        self.buckets = {
            name: Bucket(limit, max(1.0, limit * share))
            for name, limit in (("requests", faults.rpm), ("tokens", faults.tpm))
            if limit is not None
        }

    def reset(self) -> None:
        self.stats = Stats()
        self.batches = Batches()
        self.visits: Counter[str] = Counter()

    def fate(self, digest: str, text: str) -> str:
        """What becomes of this attempt of a request."""
        attempt = self.stats.attempts[digest] = self.stats.attempts.get(digest, 0) + 1
        for part, word in self.faults.when.items():
            if part in text:
                return word
        if attempt <= len(self.faults.script):
            return self.faults.script[attempt - 1]
        draw = random.Random(f"{self.faults.seed} {digest} {attempt}").random()
        for word, share in self.faults.shares.items():
            if draw < share:
                return word
            draw -= share
        return "ok"

    def answer(self, body: dict[str, Any], kind: Format, word: str) -> Answer:
        """The reply that `word` asks for, billed."""
        text = json.dumps(body, ensure_ascii=False)
        fixed = next((reply for part, reply in self.faults.replies.items() if part in text), None)
        answer = kind.answer(body, word, fixed)
        digest = digest_of(body)
        self.stats.billed[digest] = self.stats.billed.get(digest, 0) + 1
        self.stats.input_tokens += answer.input_tokens
        self.stats.output_tokens += answer.output_tokens
        return answer

    def refusal(self, tokens: int) -> float | None:
        """None if the limits let a request in, else seconds until they do."""
        wants = {"requests": 1.0, "tokens": float(tokens)}
        wait = max((bucket.wait(wants[name]) for name, bucket in self.buckets.items()), default=0.0)
        if wait > 0:
            return wait
        for name, bucket in self.buckets.items():
            bucket.take(wants[name])
        return None

    def limit_headers(self, kind: Format) -> dict[str, str]:
        if not self.faults.headers:
            return {}
        return kind.limits(
            {n: (int(b.per_minute), max(0, int(b.level)), b.full_in) for n, b in self.buckets.items()}
        )

    def retry_headers(self, wait: float) -> dict[str, str]:
        after, ms = self.faults.retry_after, self.faults.retry_after_ms
        headers = {} if ms is None else {"retry-after-ms": f"{ms:g}"}
        if after == "date":
            headers["Retry-After"] = formatdate(time.time() + max(1.0, wait), usegmt=True)
        elif after == "exact":
            headers["Retry-After"] = f"{wait:.3f}"
        elif after is not None:
            headers["Retry-After"] = str(after)
        return headers


def digest_of(body: Mapping[str, Any]) -> str:
    """The hash by which a request body is counted."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


STATE = web.AppKey("state", State)


async def complete(request: web.Request) -> web.StreamResponse:
    """One chat completion or message."""
    state, kind = request.app[STATE], FORMATS[request.path]
    body = await request.json()
    refused = state.refusal(kind.worst_case(body))
    headers = {**state.limit_headers(kind), kind.request_id: f"req_{state.stats.requests}"}
    if refused is not None:
        headers |= state.retry_headers(refused)
        return web.json_response(kind.error(429, "Rate limit reached"), status=429, headers=headers)
    word = state.fate(digest_of(body), json.dumps(body, ensure_ascii=False))
    await asyncio.sleep(state.faults.latency)
    if word == "hang":
        await asyncio.sleep(3600)
    if word in ("reset", "garbage", "quota", "blocked") or word.isdigit():
        return fail(request, word, headers)
    text = json.dumps(state.answer(body, kind, word).body).encode()
    return await send(request, word, text, headers)


def fail(request: web.Request, word: str, headers: dict[str, str]) -> web.StreamResponse:
    """An answer that costs nothing."""
    state, kind = request.app[STATE], FORMATS.get(request.path, FORMATS["/v1/chat/completions"])
    if word == "reset":
        drop(request)
        return web.Response()
    if word == "garbage":
        page = "<html><body><h1>It works!</h1></body></html>"
        return web.Response(text=page, content_type="text/html", headers=headers)
    status, error = kind.special(word) or (int(word), kind.error(int(word), f"planted {word}"))
    if status in (429, 503):
        headers = headers | state.retry_headers(1.0)
    return web.json_response(error, status=status, headers=headers)


async def send(
    request: web.Request, word: str, text: bytes, headers: dict[str, str]
) -> web.StreamResponse:
    """A reply, whole or in the way that `word` asks for."""
    if word == "truncated":
        text = text[: len(text) // 2]
    if word not in ("slow", "cut"):
        return web.Response(body=text, content_type="application/json", headers=headers)
    length = {"Content-Length": str(len(text)), "Content-Type": "application/json"}
    response = web.StreamResponse(headers={**headers, **length})
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        if word == "cut":
            await response.write(text[: len(text) // 2])
            await asyncio.sleep(0.02)
            drop(request)
        else:
            for at in range(len(text)):
                await response.write(text[at : at + 1])
                await asyncio.sleep(request.app[STATE].faults.drip)
    return response


def drop(request: web.Request) -> None:
    """Reset the connection."""
    if request.transport is None:
        return
    held = request.transport.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()


async def embed(request: web.Request) -> web.StreamResponse:
    """Embeddings: hashed words, so that texts with words in common lie near each other."""
    state, body = request.app[STATE], await request.json()
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    word = state.fate(digest_of(body), json.dumps(body, ensure_ascii=False))
    await asyncio.sleep(state.faults.latency)
    if word != "ok":
        return fail(request, word, {})
    rows: list[Any] = vectors(texts)
    if body.get("encoding_format") == "base64":
        rows = [base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() for row in rows]
    data = [{"object": "embedding", "index": at, "embedding": row} for at, row in enumerate(rows)]
    usage = {"prompt_tokens": sum(map(len, texts)) // 4, "total_tokens": sum(map(len, texts)) // 4}
    answer = {"object": "list", "data": data, "model": body["model"], "usage": usage}
    state.stats.billed[digest_of(body)] = state.stats.billed.get(digest_of(body), 0) + 1
    return web.json_response(answer)


@web.middleware
async def watch(request: web.Request, handler: Any) -> web.StreamResponse:
    """Count, check the key, and follow the script of the path."""
    if request.path.startswith("/_"):
        return await handler(request)  # type: ignore[no-any-return]
    state, stats = request.app[STATE], request.app[STATE].stats
    stats.requests += 1
    stats.arrivals.append(time.monotonic() - state.started)
    stats.in_flight += 1
    stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
    seen = "dropped"
    try:
        response = await visit(request, handler)
        seen = str(response.status) if request.transport is not None else "dropped"
        return response
    finally:
        stats.in_flight -= 1
        stats.statuses[seen] = stats.statuses.get(seen, 0) + 1


async def visit(request: web.Request, handler: Any) -> web.StreamResponse:
    state = request.app[STATE]
    bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
    key = bearer or request.headers.get("x-api-key", "")
    if not key or (state.faults.key and key != state.faults.key):
        return fail(request, "401", {})
    path = f"{request.method} {re.sub(r'/(file|batch|msgbatch)_[^/]+', '/ID', request.path)}"
    state.visits[path] += 1
    script = state.faults.paths.get(path, ())
    word = script[state.visits[path] - 1] if state.visits[path] <= len(script) else "ok"
    if word in ("reset", "garbage", "quota", "blocked") or word.isdigit():
        return fail(request, word, {})
    response: web.StreamResponse = await handler(request)
    if word == "cut":  # the work was done, the answer is lost
        drop(request)
    if word in ("half", "short") and isinstance(response, web.Response):
        whole = response.body if isinstance(response.body, bytes) else b""
        middle = len(whole) // 2
        return web.Response(
            body=whole[: middle if word == "half" else whole.rfind(b"\n", 0, middle) + 1]
        )
    return response


async def tell(request: web.Request) -> web.Response:
    return web.json_response(asdict(request.app[STATE].stats))


async def change(request: web.Request) -> web.Response:
    state = request.app[STATE]
    state.use(Faults(**{**asdict(state.faults), **await request.json()}))
    return web.json_response({})


async def forget(request: web.Request) -> web.Response:
    request.app[STATE].reset()
    return web.json_response({})


async def serve(faults: Faults) -> None:
    """Serve until standard input ends; the port is the first line on standard output."""
    app = web.Application(middlewares=[watch], client_max_size=2**29)
    app[STATE] = State(faults)
    app.router.add_get("/_stats", tell)
    app.router.add_post("/_faults", change)
    app.router.add_post("/_reset", forget)
    app.router.add_post("/v1/embeddings", embed)
    for path in FORMATS:
        app.router.add_post(path, complete)
    add_batch_routes(app, STATE, digest_of)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve(Faults(**json.loads(sys.argv[1]))))
