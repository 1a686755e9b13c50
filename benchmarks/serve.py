"""`rlpersona serve` beside vLLM's own OpenAI server: same weights, same load, one run.

    python benchmarks/serve.py [--rounds 5] [--seconds 4] [--tokens 32] [--streams 1 16 32]

Both serve a copy of the nano model whose end token is switched off, so that every answer has exactly
`tokens` tokens; both give the same text, which is checked. The load is streamed chats over kept
connections, each client asking again as soon as its answer has ended. The two take turns in rounds of
some seconds after a warm-up; shares and differences are taken within a round and their medians are
printed. CPU is that of all processes of a server, psutil's user and system time, per answer.
Bars: at 16 and 32 streams at least 0.8 of vLLM's throughput; at most 8 ms added to the median answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from rlpersona.models import nano

QUESTIONS = [f"What is {a} + {b}?" for a in range(1, 9) for b in range(1, 5)]
QUIET = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
# What `rlpersona` gives its own engine: without the last one vLLM's server would pass every step on to a
# further process on CPU, and take 1.3 times as long.
VLLM = {"TORCHDYNAMO_DISABLE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1"}
VLLM |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


@dataclass(frozen=True)
class Server:
    """A server under load: its address, its model's name, its root process."""

    name: str
    port: int
    model: str
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """CPU seconds of its process tree so far."""
        root = psutil.Process(self.process.pid)
        total = 0.0
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
                total += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        return total


@dataclass(frozen=True)
class Round:
    """What one server did in one round."""

    rate: float  # answers a second
    cpu: float  # seconds an answer
    first: list[float]  # seconds to the first event
    whole: list[float]  # seconds to the end


def endless(folder: Path) -> Path:
    """The nano model, but its answers never end by themselves."""
    shutil.copytree(nano.path(), folder, dirs_exist_ok=True)
    for name, key in (
        ("config.json", "eos_token_id"),
        ("generation_config.json", "eos_token_id"),
        ("tokenizer_config.json", "eos_token"),
    ):
        values = json.loads((folder / name).read_text())
        values.pop(key, None)
        (folder / name).write_text(json.dumps(values))
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def started(
    name: str, model: str, command: Callable[[int], list[str]], folder: Path
) -> Iterator[Server]:
    """A server in processes of its own, ready to answer."""
    port = free_port()
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **QUIET, **VLLM},
            cwd=folder,
        )
    try:
        until = time.monotonic() + 300
        while not healthy(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit((folder / f"{name}.log").read_text()[-3000:])
            time.sleep(0.5)
        yield Server(name, port, model, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def healthy(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return bool(opener.open(f"http://127.0.0.1:{port}/health", timeout=5).status == 200)
    except OSError:
        return False


def request(server: Server, question: str, tokens: int) -> bytes:
    """One streamed chat as HTTP."""
    body = json.dumps(
        {
            "model": server.model,
            "messages": [{"role": "user", "content": question}],
            "max_tokens": tokens,
            "temperature": 0,
            "stream": True,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{server.port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Client(asyncio.Protocol):
    """One connection that asks again and again; it looks for the end of a stream and no further."""

    def __init__(self, requests: list[bytes], until: float) -> None:
        self.requests, self.until = requests, until
        self.first: list[float] = []
        self.whole: list[float] = []
        self.last = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        """Send the next question."""
        self.last, self.opened = b"", False
        self.begun = time.perf_counter()
        self.transport.write(self.requests[len(self.whole) % len(self.requests)])

    def data_received(self, data: bytes) -> None:
        """Look for the end of the stream."""
        now = time.perf_counter()
        if not self.opened and b"data:" in data:
            self.opened = True
            self.first.append(now - self.begun)
        self.last += data
        if not self.last.endswith(b"0\r\n\r\n"):
            return
        if b"data: [DONE]" not in self.last:
            self.fail(self.last[-500:].decode(errors="replace"))
            return
        self.whole.append(now - self.begun)
        if now < self.until:
            self.ask()
        else:
            self.transport.close()

    def fail(self, why: str) -> None:
        """End with an error."""
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.done.done():
            self.done.set_result(None)


async def load(server: Server, streams: int, seconds: float, tokens: int) -> Round:
    """`streams` clients for some seconds."""
    loop = asyncio.get_running_loop()
    asked = [request(server, question, tokens) for question in QUESTIONS]
    cpu, begun = server.cpu(), time.perf_counter()
    clients = []
    for at in range(streams):
        shifted = asked[at % len(asked) :] + asked[: at % len(asked)]
        made = Client(shifted, begun + seconds)
        clients.append(made)
        await loop.create_connection(lambda made=made: made, "127.0.0.1", server.port)
    await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - begun
    whole = [value for client in clients for value in client.whole]
    first = [value for client in clients for value in client.first]
    return Round(len(whole) / took, (server.cpu() - cpu) / len(whole), first, whole)


def text_of(server: Server, question: str, tokens: int) -> str:
    """The text of one answer, read as a client does."""
    import openai

    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none")
    chunks = client.chat.completions.create(
        model=server.model,
        messages=[{"role": "user", "content": question}],
        max_tokens=tokens,
        temperature=0,
        stream=True,
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(streams: int, rounds: list[dict[str, Round]]) -> None:
    """One block of the table: medians over rounds."""

    def median(value: Callable[[dict[str, Round]], float]) -> float:
        return statistics.median(value(one) for one in rounds)

    print(f"\n{streams} streams")
    for name in rounds[0]:
        rate, cpu = (median(lambda r, n=name: r[n].rate), median(lambda r, n=name: 1e3 * r[n].cpu))
        ends = [median(lambda r, n=name, s=s: quantile(r[n].whole, s)) for s in (0.5, 0.99)]
        begins = [median(lambda r, n=name, s=s: quantile(r[n].first, s)) for s in (0.5, 0.99)]
        print(
            f"  {name:<10} {rate:7.1f} answers/s {cpu:7.2f} cpu-ms each   whole p50 {ends[0]:7.1f}"
            f" p99 {ends[1]:7.1f} ms   first p50 {begins[0]:6.1f} p99 {begins[1]:6.1f} ms"
        )
    share = median(lambda r: r["rlpersona"].rate / r["vllm"].rate)
    added = [
        median(lambda r, s=s: quantile(r["rlpersona"].whole, s) - quantile(r["vllm"].whole, s))
        for s in (0.5, 0.99)
    ]
    print(f"  share of throughput {share:.2f}   added p50 {added[0]:+.1f} ms, p99 {added[1]:+.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 32])
    options = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, {options.tokens} tokens an answer")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        model = str(endless(folder / "model"))

        def theirs(port: int) -> list[str]:
            words = ["-m", "vllm.entrypoints.openai.api_server", "--model", model, "--port", str(port)]
            words += ["--served-model-name", "base", "--host", "127.0.0.1", "--dtype", "float32"]
            words += ["--enforce-eager", "--block-size", "32", "--kv-cache-memory-bytes", "64M"]
            words += ["--max-num-seqs", "64", "--disable-log-stats", "--disable-uvicorn-access-log"]
            return [*words, "--generation-config", "vllm", "--distributed-executor-backend", "uni"]

        def ours(port: int) -> list[str]:
            return ["-m", "rlpersona.cli", "serve", f"model={model}", f"port={port}"]

        servers = [
            stack.enter_context(started("vllm", "base", theirs, folder)),
            stack.enter_context(started("rlpersona", "base", ours, folder)),
        ]
        texts = [[text_of(server, q, options.tokens) for q in QUESTIONS[:8]] for server in servers]
        assert texts[0] == texts[1], "the two servers answer differently"
        for streams in options.streams:
            rounds = []
            for at in range(options.rounds + 1):
                order = servers if at % 2 else servers[::-1]
                one = {
                    s.name: asyncio.run(load(s, streams, options.seconds, options.tokens)) for s in order
                }
                rounds += [one] if at else []  # the first one warms up
            report(streams, [{s.name: one[s.name] for s in servers} for one in rounds])


if __name__ == "__main__":
    main()
