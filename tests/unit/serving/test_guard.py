"""The gate of the service, without a server: what comes through, and what is answered for the rest."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.serving.guard import Guard
from rlpersona.serving.limits import ROUTES, Limits

TOKEN = b"kQ7-test-token-of-a-service-0123456789"
CHAT = "/v1/chat/completions"
HERE = {"host": "127.0.0.1:8000", "content-type": "application/json"}


@dataclass
class World:
    """An app behind a guard, and what came through to it."""

    limits: Limits = field(default_factory=Limits)
    token: bytes | None = field(default=None, repr=False)
    bodies: list[bytes] = field(default_factory=list)
    held: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.guard = Guard(self.app, self.limits, self.token)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive() if scope["method"] == "POST" else {"body": b"", "more_body": False}
        assert message["more_body"] is False, "the body comes whole"
        self.bodies.append(message["body"])
        if self.held is not None:
            await self.held.wait()
        headers = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"fine"})

    async def ask(
        self,
        path: str = CHAT,
        body: Iterable[Any] = (b"{}",),
        method: str = "POST",
        client: str = "127.0.0.1",
        **headers: str | None,
    ) -> Answer:
        """`body`: chunks; an Event is waited for; None is a client that hangs up."""
        named = {**HERE, **{name.replace("_", "-"): value for name, value in headers.items()}}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "client": (client, 4242),
            "headers": [(k.encode(), v.encode()) for k, v in named.items() if v is not None],
        }
        return await self.drive(scope, list(body))

    async def drive(self, scope: Any, chunks: list[Any]) -> Answer:
        answer = Answer()

        async def receive() -> dict[str, Any]:
            if not chunks or chunks[0] is None:
                return {"type": "http.disconnect"}
            part = chunks.pop(0)
            if isinstance(part, asyncio.Event):
                await part.wait()
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": bool(chunks)}

        async def send(message: Any) -> None:
            answer.take(message)

        await self.guard(scope, receive, send)
        return answer


class Answer:
    def __init__(self) -> None:
        self.status, self.headers, self.body, self.whole = 0, dict[str, str](), b"", False

    def take(self, message: dict[str, Any]) -> None:
        assert not self.whole
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self.body += message["body"]
            self.whole = not message.get("more_body", False)

    @property
    def error(self) -> dict[str, Any]:
        assert self.whole
        assert int(self.headers["content-length"]) == len(self.body)
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}, "as OpenAI's"
        return error  # type: ignore[no-any-return]


def ask(world: World, *args: Any, **words: Any) -> Answer:
    return asyncio.run(world.ask(*args, **words))


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ({"path": "/v1/chat"}, 404, "no path '/v1/chat'"),
        ({"path": "/v1/chat/completions/"}, 404, "no path"),
        ({"path": "/../etc/passwd", "method": "GET"}, 404, "no path"),
        ({"method": "GET"}, 405, "takes POST"),
        ({"method": "OPTIONS"}, 405, "takes POST"),
        ({"path": "/v1/models"}, 405, "takes GET, HEAD"),
        ({"path": "/v1/models", "method": "DELETE"}, 405, "takes GET, HEAD"),
        ({"content_type": None}, 415, "Send plain JSON"),
        ({"content_type": "text/plain"}, 415, "Send plain JSON"),
        ({"content_type": "application/x-www-form-urlencoded"}, 415, "Send plain JSON"),
        ({"content_type": "application/jsonp"}, 415, "Send plain JSON"),
        ({"content_encoding": "gzip"}, 415, "Send plain JSON"),
        ({"content_length": "-1"}, 400, "no number"),
        ({"content_length": "9" * 30}, 400, "no number"),
        ({"content_length": "10000000"}, 413, "over 1000000 bytes"),
        ({"body": [b"x" * 600_000] * 17}, 413, "over 1000000 bytes"),
        ({"path": "/" + "x" * 5000}, 414, "over 2048 bytes"),
        ({f"x_{k}": "y" for k in range(100)}, 431, "More than 64 headers"),
        ({"x_long": "y" * 20_000}, 431, "16384 bytes"),
        ({"host": "evil.example"}, 403, "Host must be"),
        ({"host": "127.0.0.1.evil.example:8000"}, 403, "Host must be"),
        ({"host": None}, 403, "Host must be"),
        ({"origin": "http://evil.example"}, 403, "Pages of other sites"),
        ({"origin": "http://127.0.0.1:9999"}, 403, "Pages of other sites"),
        ({"origin": "null"}, 403, "Pages of other sites"),
    ],
)
def test_what_is_no_sound_request_never_reaches_the_app(
    words: dict[str, Any], status: int, message: str
) -> None:
    world = World()
    answer = ask(world, **words)
    assert (answer.status, world.bodies) == (status, [])
    assert message in answer.error["message"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert ask(world).status == 200, "the next one is served"


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"content_type": "application/json; charset=utf-8"},
        {"content_type": "Application/JSON"},
        {"content_length": "1000000", "body": [b"x" * 400_000, b"x" * 600_000]},
        {"host": "localhost:8000", "origin": "http://localhost:8000"},
        {"host": "[::1]:9000", "origin": "http://[::1]:9000"},
        {"authorization": "Bearer what-the-sdk-sends"},
        {"path": "/health", "method": "HEAD", "content_type": None},
        {"path": "/v1/models", "method": "GET"},
    ],
)
def test_what_comes_through(words: dict[str, Any]) -> None:
    world = World()
    answer = ask(world, **words)
    assert (answer.status, answer.body, len(world.bodies)) == (200, b"fine", 1)
    assert world.bodies[0] == b"".join(words.get("body", [b"{}"])) or words.get("method")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "missing_token"),
        ("", "missing_token"),
        ("Bearer", "missing_token"),
        ("Bearer ", "missing_token"),
        (f"Basic {TOKEN.decode()}", "missing_token"),
        (TOKEN.decode(), "missing_token"),
        ("Bearer wrong", "invalid_token"),
        (f"Bearer {TOKEN.decode()[:-1]}", "invalid_token"),
        (f"Bearer {TOKEN.decode()}x", "invalid_token"),
        (f"Bearer {TOKEN.decode().upper()}", "invalid_token"),
        ("Bearer " + "x" * 10_000, "invalid_token"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/feedback", "/metrics", "/v1/models", "/unknown", "/docs"])
def test_without_the_token_nothing_is_told(path: str, given: str | None, code: str) -> None:
    world = World(token=TOKEN)
    answer = ask(world, path, method="GET", authorization=given)
    assert (answer.status, answer.error["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert world.bodies == []


def test_with_the_token_any_name_will_do_and_the_page_is_open() -> None:
    world = World(token=TOKEN)
    for scheme in ("Bearer", "bearer"):
        words = {"authorization": f"{scheme} {TOKEN.decode()}", "host": "serve.example"}
        assert ask(world, origin="https://other.example", **words).status == 200
        assert ask(world, "/unknown", **words).status == 404
    assert ask(world, "/", method="GET").status == 200
    assert ask(world, "/health", method="GET").status == 200


def test_every_path_but_the_page_and_health_is_locked() -> None:
    world = World(token=TOKEN)
    refused = {path for path in ROUTES if ask(world, path, method="GET").status == 401}
    assert refused == set(ROUTES) - {"/", "/health"}


def test_a_slow_body_is_cut_off_and_a_gone_client_forgotten() -> None:
    async def scene() -> None:
        world = World(Limits(body_seconds=0.05))
        never = asyncio.Event()
        answer = await world.ask(body=[b"{", never])
        assert answer.status == 408
        assert answer.headers["connection"] == "close"
        assert "did not arrive within 0.05 s" in answer.error["message"]
        gone = await world.ask(body=[b"{", None])
        assert (gone.status, world.bodies) == (0, [])
        assert (await world.ask()).status == 200

    asyncio.run(scene())


def test_a_body_without_end_is_answered_at_once_and_then_left() -> None:
    class Endless(list[Any]):
        def pop(self, _: Any = 0) -> Any:
            Endless.given += 1
            return b"x" * 100_000

        given = 0

    world = World()
    answer = asyncio.run(
        world.drive(
            {
                "type": "http",
                "method": "POST",
                "path": CHAT,
                "headers": [(name.encode(), value.encode()) for name, value in HERE.items()],
            },
            Endless([b"x"]),
        )
    )
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert Endless.given * 100_000 < 40_000_000


def test_a_client_over_its_rate_is_told_when_to_come_back() -> None:
    async def scene() -> None:
        world = World(Limits(requests_per_minute=6, burst=2))
        assert [(await world.ask()).status for _ in range(3)] == [200, 200, 429]
        answer = await world.ask()
        assert answer.headers["retry-after"] == "10"
        assert "More than 6 requests a minute" in answer.error["message"]
        assert answer.error["type"] == "rate_limit_error"
        assert (await world.ask(client="10.0.0.2")).status == 200
        assert (await world.ask("/health", method="GET")).status == 200, "probes do not count"

    asyncio.run(scene())


def test_strangers_cannot_use_up_a_rate() -> None:
    async def scene() -> None:
        world = World(Limits(requests_per_minute=6, burst=1), TOKEN)
        assert [(await world.ask()).status for _ in range(9)] == [401] * 9
        assert (await world.ask(authorization=f"Bearer {TOKEN.decode()}")).status == 200

    asyncio.run(scene())


def test_when_all_places_are_taken_others_come_later() -> None:
    async def scene() -> None:
        world = World(Limits(requests=2), held=asyncio.Event())
        assert world.held is not None
        first = [asyncio.create_task(world.ask()) for _ in range(2)]
        await asyncio.sleep(0.01)
        answer = await world.ask()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.error["type"] == "server_error"
        assert not any(task.done() for task in first)
        world.held.set()
        assert [task.status for task in await asyncio.gather(*first)] == [200, 200]
        assert (await world.ask()).status == 200

    asyncio.run(scene())


def test_a_place_is_given_back_when_the_app_fails() -> None:
    async def scene() -> None:
        async def broken(*_: Any) -> None:
            raise RuntimeError("out of order")

        world = World(Limits(requests=1))
        world.guard.app = broken
        for _ in range(3):
            with pytest.raises(RuntimeError, match="out of order"):
                await world.ask()
        world.guard.app = world.app
        assert (await world.ask()).status == 200

    asyncio.run(scene())


def test_sockets_are_closed_and_lifespan_passes() -> None:
    async def scene() -> None:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def app(scope: Any, *_: Any) -> None:
            sent.append(scope["type"])

        guard = Guard(app, Limits(), None)
        await guard({"type": "websocket", "path": "/"}, None, send)  # type: ignore[arg-type]
        await guard({"type": "lifespan"}, None, send)  # type: ignore[arg-type]
        assert sent == [{"type": "websocket.close", "code": 1008}, "lifespan"]

    asyncio.run(scene())


def test_no_token_and_no_body_in_logs_reprs_and_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world = World(token=TOKEN)
    secret = "s3cret-of-a-user"
    for words in ({"authorization": f"Bearer {secret}"}, {"authorization": f"Bearer {TOKEN.decode()}"}):
        for kind in ("application/json", "text/plain"):
            answer = ask(world, body=[secret.encode()], content_type=kind, **words)
            told = caplog.text + answer.body.decode() + repr(answer.headers)
            assert secret not in told
            assert TOKEN.decode() not in told
    assert TOKEN.decode() not in repr(vars(world.guard))


@given(
    st.sampled_from(["GET", "POST", "PUT", "X" * 99]),
    st.text(max_size=40),
    st.lists(
        st.tuples(
            st.sampled_from(
                [b"host", b"origin", b"authorization", b"content-length", b"content-type", b"x"]
            ),
            st.binary(max_size=60),
        ),
        max_size=12,
    ),
    st.lists(st.binary(max_size=9), min_size=1, max_size=3),
    st.booleans(),
)
def test_whatever_is_sent_gets_one_whole_answer_and_never_passes_without_the_token(
    method: str, path: str, headers: list[tuple[bytes, bytes]], body: list[bytes], locked: bool
) -> None:
    world = World(token=TOKEN if locked else None)
    scope = {"type": "http", "method": method, "path": "/" + path, "headers": headers}
    answer = asyncio.run(world.drive(scope, list(body)))
    assert answer.whole
    if locked and "/" + path not in ("/", "/health"):
        assert world.bodies == []
        assert 400 <= answer.status < 500
