"""An app on Ray Serve: answers through the front door, several replicas, and nothing open to others."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from rlpersona.errors import ServeError
from rlpersona.runtime.haproxy import mended
from rlpersona.runtime.ingress import find_haproxy, front_door
from rlpersona.runtime.serve import Shape, deployed, environment, refuse_taken, run, serving
from tests.heads import free_port


class Echo:
    """Says which process answers; `/slow` in two parts with a pause between."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (event := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{event['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"].endswith("/slow"):
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            await asyncio.sleep(1.0)
        about = {"pid": os.getpid(), "client": (scope.get("client") or ("",))[0]}
        await send({"type": "http.response.body", "body": json.dumps(about).encode()})

    def alive(self) -> bool:
        return True

    async def close(self) -> None: ...


class Broken(Echo):
    """An app that cannot be built."""

    def __init__(self) -> None:
        raise ServeError("the weights are gone")


PORT = free_port()


@pytest.fixture(scope="module", autouse=True)
def ray_cluster() -> Iterator[None]:
    """Instead of the Ray of the folder: the one that a service starts for itself."""
    shape = Shape(replicas=2, cpus=0.1)
    with serving(Echo, shape, name="echo", host="127.0.0.1", port=PORT, idle=3.0):
        yield


def get(path: str = "/", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def test_both_replicas_answer() -> None:
    pids = set()
    until = time.monotonic() + 60
    while len(pids) < 2 and time.monotonic() < until:
        status, body = get()
        assert status == 200
        pids.add(json.loads(body)["pid"])
    assert len(pids) == 2


def test_chunks_arrive_as_they_are_sent() -> None:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    begun = time.monotonic()
    connection.request("GET", "/slow")
    response = connection.getresponse()
    assert response.read(5) == b"first"
    first = time.monotonic() - begun
    response.read()
    assert time.monotonic() - begun - first > 0.5
    connection.close()


@pytest.mark.skipif(find_haproxy() is None, reason="there is no HAProxy here")
def test_the_client_is_known_behind_the_front_door() -> None:
    assert json.loads(get()[1])["client"] == "127.0.0.1"
    forged = get(headers={"x-forwarded-for": "10.0.0.9"})[1]
    assert json.loads(forged)["client"] != "10.0.0.9"


def test_nothing_listens_beyond_this_machine() -> None:
    me = psutil.Process()
    listening = []
    for process in me.children(recursive=True):
        with suppress(psutil.Error):  # it ended meanwhile
            links = process.net_connections("inet")
            own = [link.laddr for link in links if link.status == psutil.CONN_LISTEN]
            listening += [(process.name(), address) for address in own]
    assert any(address.port == PORT for _, address in listening)
    local = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
    assert not [one for one in listening if one[1].ip not in local]


@pytest.mark.skipif(find_haproxy() is None, reason="there is no HAProxy here")
def test_a_request_that_never_ends_is_given_up() -> None:
    with socket.create_connection(("127.0.0.1", PORT), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_load_brings_a_second_replica() -> None:
    shape = Shape(replicas=1, max_replicas=2, in_flight=2, cpus=0.1)
    run(deployed(Echo, "scaled", shape), "scaled", "/scaled")

    def asked(_: int) -> int:
        status, body = get("/scaled/slow")
        assert status == 200
        return int(json.loads(body.removeprefix(b"first"))["pid"])

    pids: set[int] = set()
    until = time.monotonic() + 120
    with ThreadPoolExecutor(8) as clients:
        while len(pids) < 2 and time.monotonic() < until:
            pids |= set(clients.map(asked, range(8)))
    assert len(pids) == 2


def test_an_address_that_is_taken_is_refused_first() -> None:
    with pytest.raises(ServeError, match=f"127.0.0.1:{PORT}"):
        refuse_taken("127.0.0.1", PORT)
    with (
        pytest.raises(ServeError, match="nothing can listen"),
        serving(Echo, Shape(), name="other", host="127.0.0.1", port=PORT),
    ):
        raise AssertionError("it was started")


def test_variables_of_the_user_win_and_ours_go_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLP_MINE", "1")
    monkeypatch.delenv("RLP_OTHER", raising=False)
    with environment({"RLP_MINE": "2", "RLP_OTHER": "3"}):
        assert (os.environ["RLP_MINE"], os.environ["RLP_OTHER"]) == ("1", "3")
    assert "RLP_OTHER" not in os.environ


def test_without_haproxy_serves_own_proxy_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    assert find_haproxy() is None
    assert not [name for name in front_door(tmp_path, 10, 5) if "HAPROXY" in name or "HA_PROXY" in name]


def test_an_app_that_cannot_be_built_says_why() -> None:
    with pytest.raises(ServeError, match="the weights are gone"):
        run(deployed(Broken, "broken", Shape(cpus=0.1)), "broken", "/broken")
    assert get()[0] == 200


def test_rays_config_is_kept_to_the_address_of_the_service() -> None:
    from ray.serve._private.haproxy_templates import HAPROXY_CONFIG_TEMPLATE

    config = mended(HAPROXY_CONFIG_TEMPLATE, 7)
    binds = [line.strip() for line in config.splitlines() if line.strip().startswith("bind")]
    assert "bind {{ config.frontend_host }}:{{ config.frontend_port }}" in binds
    assert not [line for line in binds if "*:" in line or "bind :" in line]
    assert "mode 666" not in config
    assert "{{ config.log_target }}" not in config
    assert config.count("timeout http-request 7s") == config.count("option forwardfor") == 1
    assert config.count("del-header x-forwarded-for") == 1
    opened = re.findall(r"^ +bind ", HAPROXY_CONFIG_TEMPLATE, re.MULTILINE)
    assert len(opened) == len(binds) + 2  # the pages of statistics
