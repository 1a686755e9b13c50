"""`rlpersona serve` as a user starts it, for the tests that need one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.heads import free_port
from tests.processes import titled

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Service:
    """A service that runs."""

    port: int
    process: psutil.Popen
    log: Path

    @property
    def printed(self) -> str:
        """What it has written so far."""
        return self.log.read_text()

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """(status, JSON) of a request; OSError while nobody answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        try:
            with DIRECT.open(request, timeout=60) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            body_of = error.read()
            try:
                return error.code, json.loads(body_of)
            except ValueError:
                return error.code, {"text": body_of.decode(errors="replace")}

    def chat(self, model: str, text: str = "What is 3 + 4?", **more: Any) -> dict[str, Any]:
        """A greedy answer, whole."""
        messages = [{"role": "user", "content": text}]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 24, **more}
        status, answer = self.post("/v1/chat/completions", body)
        assert status == 200, answer
        return answer

    def replicas(self) -> list[psutil.Process]:
        """The processes that answer."""
        return titled(self.process, "ServeReplica")


@contextmanager
def service(folder: Path, *words: str) -> Iterator[Service]:
    """A service over the runs in `folder/runs`, until the block ends."""
    port = free_port()
    log = folder / f"serve-{port}.log"
    command = [sys.executable, "-m", "rlpersona.cli", "serve", *words, f"port={port}"]
    with log.open("w") as out:
        process = psutil.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    running = Service(port, process, log)
    try:
        until = time.monotonic() + 300
        while "Ctrl-C ends it." not in running.printed:
            assert process.poll() is None, running.printed
            assert time.monotonic() < until, running.printed
            time.sleep(0.2)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()
