"""The client of a job server: what it says when nobody, somebody else or an older Ray answers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rlpersona.errors import PersonaError, ServeError
from rlpersona.runtime.jobs import Cluster, _Log


@contextmanager
def server(status: int, reply: object) -> Iterator[str]:
    """An HTTP server on loopback that always says the same."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{running.server_port}"
    finally:
        running.shutdown()
        running.server_close()


def test_without_an_address_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ServeError, match="Which cluster"):
        Cluster()


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "127.0.0.1:1", "http://no-such-host.invalid"])
def test_nobody_there_is_said_at_once(address: str) -> None:
    with pytest.raises(ServeError, match="No Ray cluster answers") as caught:
        Cluster(address)
    assert "http://HEAD:8265" in caught.value.hint


def test_another_version_of_ray_is_refused() -> None:
    reply = {"version": "4", "ray_version": "2.40.0"}
    with (
        server(200, reply) as address,
        pytest.raises(ServeError, match=r"runs Ray 2\.40\.0") as caught,
    ):
        Cluster(address)
    assert "ray==" in caught.value.hint


@pytest.mark.parametrize(("status", "reply"), [(404, {}), (500, {}), (200, {}), (200, "hello")])
def test_something_else_at_the_address_is_no_cluster(status: int, reply: object) -> None:
    with server(status, reply) as address, pytest.raises(ServeError, match="No Ray cluster answers"):
        Cluster(address)


@pytest.mark.parametrize(("status", "said"), [(401, "wants a token"), (403, "refuses the token")])
def test_a_token_that_lacks_or_is_wrong_is_said(status: int, said: str) -> None:
    with server(status, {}) as address, pytest.raises(ServeError, match=said):
        Cluster(address)


def test_the_address_asked_for_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    with (
        server(200, {"ray_version": "2.59.1"}) as address,
        pytest.raises(ServeError, match=r"Ray 2\.59\.1"),
    ):
        Cluster(address)


class Answers:
    """A job server's client, whose answers to `submit_job` are given; None is a job that was taken."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)

    def submit_job(self, **_: object) -> None:
        said = self.answers.pop(0)
        if said is not None:
            raise RuntimeError(said)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ((None,), ""),
        (("no agent yet", None), ""),
        (("agent: connection reset", "job 'x' already exists"), ""),
        (("job 'x' already exists",), "There is a job 'x'"),
        (("no such Python",), "did not take the job: no such Python"),
    ],
)
def test_a_job_is_begun_once_or_refused(
    answers: tuple[str | None, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr("rlpersona.runtime.jobs.time.sleep", lambda _: None)
    with server(200, {"version": "4", "ray_version": ray.__version__}) as address:
        cluster = Cluster(address)
    cluster._client = Answers(*answers)
    if said:
        with pytest.raises(PersonaError, match=said):
            cluster.submit(["x"], tmp_path, {}, {}, "x")
    else:
        cluster.submit(["x"], tmp_path, {}, {}, "x")
    assert not cluster._client.answers


def test_a_log_that_starts_over_is_written_once() -> None:
    told: list[str] = []
    log = _Log(told.append)
    at = 0
    for piece in ("one\n", "two\nth"):
        at = log.take(piece, at)
    at = 0  # the line broke, and the log comes again, cut otherwise
    for piece in ("o", "ne\ntwo", "\nthree\n", "four"):
        at = log.take(piece, at)
    assert "".join(told) == "one\ntwo\nthree\nfour"
