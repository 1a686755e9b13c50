"""Bad requests to a service on Ray Serve, started as a user starts it; and what it listens on."""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psutil
import pytest

from rlpersona.errors import ConfigError
from rlpersona.serving.choices import ChoiceBook
from tests.heads import free_port
from tests.support import rlpersona, wait_until

MARK = "SERVICE_UNDER_TEST"
IDLE = 4  # seconds that a request may take to arrive
HAPROXY = 101  # headers at which the front door itself refuses, in its own words


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> None:
    """The service starts its own."""


@dataclass
class Service:
    """A service with a token."""

    port: int
    token: str
    mark: str
    folder: Path

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(
        self,
        body: Any = None,
        path: str = "/v1/chat/completions",
        method: str = "POST",
        **headers: str | None,
    ) -> tuple[int, str]:
        """(status, text of the error or of the whole answer)."""
        sent = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = self.connection()
        with suppress(BrokenPipeError, ConnectionResetError):  # the answer came before all was sent
            connection.request(
                method, path, data, {name: value for name, value in sent.items() if value is not None}
            )
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def answers(self) -> bool:
        """Whether a sound request gets a sound answer."""
        status, text = self.ask(chat())
        return status == 200 and bool(json.loads(text)["choices"][0]["message"]["content"])

    def processes(self) -> list[psutil.Process]:
        """All that came of the command, also what left its tree."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found


def chat(**changes: Any) -> dict[str, Any]:
    asked = [{"role": "user", "content": "What is 2 + 2?"}]
    return {"model": "base", "messages": asked, "max_tokens": 8, **changes}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("serve")
    port = free_port()
    mark = uuid.uuid4().hex
    command = [sys.executable, "-m", "rlpersona.cli", "serve", "model=nano", "model.engine=hf"]
    command += [f"port={port}", "token_file=serve.token", f"idle_timeout={IDLE}"]
    inherited = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment = {**inherited, MARK: mark, "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert process.stdout is not None
        screen = ""
        while "Ctrl-C ends it" not in screen:
            line = process.stdout.readline()
            assert line, screen + (folder / "log").read_text()
            screen += line
        token = (folder / "serve.token").read_text().strip()
        assert token not in screen
        made = Service(port, token, mark, folder)
        yield made
        assert token not in (folder / "log").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) == 0
        wait_until(lambda: not made.processes(), 180)  # nothing stays behind; agents wait for their head
    finally:
        process.kill()
        process.communicate()


def raw(service: Service, *parts: bytes, rest: float = 0) -> str:
    """What comes back for bytes on a socket, `rest` seconds between the parts."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as link:
        for part in parts:
            link.sendall(part)
            time.sleep(rest)
        answer = b""
        with suppress(ConnectionResetError):
            while received := link.recv(65536):
                answer += received
        return answer.decode()


def head(service: Service, *lines: str) -> bytes:
    all_lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {service.token}",
        "Content-Type: application/json",
        *lines,
    ]
    return "\r\n".join([*all_lines, "", ""]).encode()


def loopback(ip: str) -> bool:
    """Ray's gRPC servers say ::ffff:127.0.0.1."""
    address = ip_address(ip)
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def message(content: Any) -> dict[str, Any]:
    return chat(messages=[{"role": "user", "content": content}])


BAD: list[tuple[str, Callable[[Service], tuple[int, str]], int, str]] = [
    ("no token", lambda s: s.ask(chat(), Authorization=None), 401, "wants its token"),
    (
        "wrong token",
        lambda s: s.ask(chat(), Authorization=f"Bearer {s.token}x"),
        401,
        "not this service's",
    ),
    ("oversized token", lambda s: s.ask(chat(), Authorization="Bearer " + "x" * 9000), 401, "too long"),
    ("10 MB body", lambda s: s.ask(message("x" * 10_000_000)), 413, "over 1000000 bytes"),
    ("unknown model", lambda s: s.ask(chat(model="nobody")), 404, "No run 'nobody'"),
    ("misspelt model", lambda s: s.ask(chat(model="bases")), 404, "Did you mean 'base'?"),
    ("path traversal", lambda s: s.ask(chat(model="../../etc/passwd")), 404, "is no model name"),
    ("traversal by step", lambda s: s.ask(chat(model="run@../..")), 404, "is no model name"),
    ("invalid JSON", lambda s: s.ask(b'{"model": "base", '), 400, "the body is no JSON"),
    ("a list", lambda s: s.ask([chat()]), 400, "no JSON object"),
    ("deep nesting", lambda s: s.ask(b"[" * 100_000), 400, "the body is no JSON"),
    ("not UTF-8", lambda s: s.ask(b'{"model": "b\xe9se"}'), 400, "not UTF-8"),
    ("empty body", lambda s: s.ask(b""), 400, "the body is no JSON"),
    ("negative max_tokens", lambda s: s.ask(chat(max_tokens=-1)), 400, "from 1 to 1024"),
    ("huge max_tokens", lambda s: s.ask(chat(max_tokens=10**12)), 400, "from 1 to 1024"),
    ("n=1000", lambda s: s.ask(chat(n=1000)), 400, "n=1000 is not supported"),
    ("temperature NaN", lambda s: s.ask(chat(temperature=float("nan"))), 400, "temperature=nan"),
    ("temperature -1", lambda s: s.ask(chat(temperature=-1)), 400, "temperature=-1"),
    ("no messages", lambda s: s.ask({"model": "base"}), 400, "messages is missing"),
    ("content of a wrong type", lambda s: s.ask(message(7)), 400, "content is no text"),
    ("over the window", lambda s: s.ask(message("x " * 9000)), 400, "token"),
    ("wrong content type", lambda s: s.ask(chat(), Content_Type="text/plain"), 415, "Send plain JSON"),
    ("wrong method", lambda s: s.ask(method="PUT"), 405, "takes POST"),
    ("unknown path", lambda s: s.ask(chat(), "/v1/embeddings"), 404, "no path"),
    ("path traversal", lambda s: s.ask(None, "/../../etc/passwd", "GET"), 404, "no path"),
    ("header flood", lambda s: s.ask(chat(), **{f"x_{k}": "y" for k in range(90)}), 431, "64 headers"),
    (
        "no policy served",
        lambda s: s.ask({"response_id": "x", "reward": 1}, "/v1/feedback"),
        404,
        "No policy",
    ),
    ("no choice", lambda s: s.ask({}, "/v1/preferences"), 400, "messages is missing"),
]


@pytest.mark.parametrize(("name", "ask", "status", "told"), BAD, ids=[f"{row[0]}" for row in BAD])
def test_a_bad_request_is_told_so_and_the_service_goes_on(
    service: Service, name: str, ask: Callable[[Service], tuple[int, str]], status: int, told: str
) -> None:
    got, text = ask(service)
    assert got == status, text
    error = json.loads(text)["error"]
    assert told in error["message"], name
    assert "Traceback" not in text
    assert service.token not in text
    assert service.answers()


def test_the_page_comes_without_the_token_and_a_choice_is_stored_with_it(service: Service) -> None:
    status, page = service.ask(None, "/", "GET", Authorization=None)
    assert (status, "rlpersona playground" in page, service.token in page) == (200, True, False)
    choice = {
        "messages": [{"role": "user", "content": "Which?"}],
        "left": {"text": "This.", "model": "base"},
        "right": {"text": "That.", "model": "persona:Marie Curie"},
        "choice": "right",
    }
    assert service.ask(choice, "/v1/preferences", Authorization=None)[0] == 401
    assert service.ask(choice, "/v1/preferences")[0] == 200
    (row,) = ChoiceBook(service.folder / "runs" / "serving").rows()
    assert row[row["choice"]] == "That."


def test_a_body_without_a_length_is_bounded_too(service: Service) -> None:
    chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    answer = raw(service, head(service, "Transfer-Encoding: chunked"), *[chunk] * 12)
    assert answer.startswith("HTTP/1.1 413")
    assert "over 1000000 bytes" in answer
    assert service.answers()


def test_a_slow_body_is_cut_off(service: Service) -> None:
    answer = raw(service, head(service, "Content-Length: 100"), b'{"model"')
    assert answer.startswith("HTTP/1.1 408")
    assert service.answers()


def test_a_slow_head_and_a_flood_of_headers_are_cut_off(service: Service) -> None:
    assert raw(service, head(service)[:-4]).startswith("HTTP/1.1 408")
    flood = head(service, *[f"X-{number}: y" for number in range(5 * HAPROXY)])
    assert raw(service, flood).startswith(("HTTP/1.1 400", "HTTP/1.1 431"))
    assert service.answers()


def test_a_thousand_idle_connections_stop_nobody(service: Service) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    links = [socket.create_connection(("127.0.0.1", service.port), timeout=60) for _ in range(1000)]
    try:
        assert service.answers()
        for link in links[:500]:
            link.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n")
        assert service.answers()
        end = time.monotonic() + 60
        for link in links:  # idle ones are closed by and by
            link.settimeout(max(0.1, end - time.monotonic()))
            with suppress(ConnectionResetError):
                while link.recv(4096):
                    pass
    finally:
        for link in links:
            link.close()
    assert service.answers()


def test_only_this_machine_can_reach_it(service: Service) -> None:
    """The driver, Ray's daemons, its dashboard and agents, the front door, replicas: all of them."""
    listening: dict[str, set[str]] = {}
    names = set()
    for process in service.processes():
        with suppress(psutil.Error):
            names.add(process.name())
            for link in process.net_connections("inet"):
                waits = link.status in (psutil.CONN_LISTEN, psutil.CONN_NONE) and not link.raddr
                if waits and link.laddr:
                    label = " ".join(process.cmdline()[:2])[:80]
                    listening.setdefault(f"{link.laddr.ip}", set()).add(f"{label}: {link.laddr.port}")
    assert {"raylet", "gcs_server"} <= names, "the whole tree is looked at"
    assert sum(map(len, listening.values())) > 8
    outside = {ip: who for ip, who in listening.items() if not loopback(ip)}
    assert outside == {}


def test_beyond_this_machine_it_does_not_start_without_a_token(tmp_path: Path) -> None:
    refused = rlpersona("serve", "model=nano", "host=0.0.0.0", cwd=tmp_path)
    assert refused.returncode == ConfigError.exit_code
    assert "can be reached from other machines" in refused.stderr
    assert "token_file=" in refused.stderr
    (tmp_path / "open.token").write_text("x" * 40)
    (tmp_path / "open.token").chmod(0o644)
    refused = rlpersona("serve", "model=nano", "host=0.0.0.0", "token_file=open.token", cwd=tmp_path)
    assert refused.returncode == ConfigError.exit_code
    assert "chmod 600" in refused.stderr
    assert "x" * 40 not in refused.stdout + refused.stderr
