"""The OpenAI-compatible service as a plain ASGI app, over any engine and any catalog of names.

What one request passes: body -> Request -> a place -> Target (who answers) -> token ids -> engine ->
Reply. A client that goes away ends its generation. Failures are OpenAI's error shape with a status from
one table (`wire.STATUS`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol

from rlpersona.errors import PersonaError, ServeError, UnknownModelError, UnknownResponseError
from rlpersona.serving import wire
from rlpersona.serving.asgi import (
    App,
    Gone,
    Receive,
    Scope,
    Send,
    lifespan,
    read_body,
    respond,
    while_connected,
)
from rlpersona.serving.engine import Ask, Engine, Piece
from rlpersona.serving.names import BANDIT
from rlpersona.serving.places import Places
from rlpersona.serving.telemetry import Telemetry, Watched
from rlpersona.types import Message, Prompt

STREAM = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # proxies pass every chunk on at once
]
LONG = 10_000  # characters from which tokenising would hold up the streams of others
log = logging.getLogger(__name__)


class Target(Protocol):
    """Who answers; see `serving.catalog.Target`."""

    @property
    def adapter(self) -> str | None: ...  # noqa: D102
    @property
    def system(self) -> str | None: ...  # noqa: D102
    @property
    def provenance(self) -> dict[str, Any]: ...  # noqa: D102


class Names(Protocol):
    """What model names stand for; see `serving.catalog.Catalog`."""

    def names(self) -> list[str]: ...  # noqa: D102
    def resolve(self, model: str, response_id: str) -> Target: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Feedback(Protocol):
    """Where rewards go; see `serving.feedback.FeedbackBook`."""

    def record(self, response_id: str, reward: float) -> dict[str, Any]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class Service:
    """The app. `pages` are further ASGI apps by path; `max_tokens` bounds what a request may ask for."""

    def __init__(
        self,
        engine: Engine,
        catalog: Names,
        feedback: Feedback | None = None,
        pages: Mapping[str, App] | None = None,
        *,
        places: Places,
        max_tokens: int,
    ) -> None:
        self._engine, self._catalog, self._feedback = engine, catalog, feedback
        self._places, self._cap = places, max_tokens
        self._telemetry = Telemetry(places)
        self._routes: dict[str, App] = {
            **(pages or {}),
            "/health": self._health,
            "/metrics": self._metrics,
            "/v1/models": self._models,
            "/v1/feedback": self._reward,
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._text,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        begun, answer = time.perf_counter(), Watched(send)
        try:
            handler = self._routes.get(path)
            if handler is None:
                raise UnknownModelError(f"there is no path {path}", "See GET /v1/models.")
            await handler(scope, receive, answer)
        except PersonaError as error:
            await self._fail(error, answer)
        except Gone:
            pass
        except Exception:
            log.exception("a request to %s failed", path)
            await self._fail(
                ServeError("the service failed on this request", "Its log says why."), answer
            )
        finally:
            known = path if path in self._routes else "other"
            self._telemetry.done(known, answer.status, time.perf_counter() - begun)

    async def close(self) -> None:
        """Stop the engine, and let go of the policies' files."""
        self._catalog.close()
        if self._feedback is not None:
            self._feedback.close()
        await self._engine.close()

    def alive(self) -> bool:
        """Whether the engine can still answer."""
        return self._engine.alive()

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._complete(True, receive, send)

    async def _text(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._complete(False, receive, send)

    async def _complete(self, chat: bool, receive: Receive, send: Send) -> None:
        """One chat or text completion, streamed or whole."""
        asked = wire.read_request(wire.read_json(await read_body(receive)), chat, self._cap)
        identity = f"{'chatcmpl' if chat else 'cmpl'}-{uuid.uuid4().hex}"
        async with while_connected(receive), self._places.one():
            if asked.model.startswith(BANDIT):  # its draw is on the disk before anybody answers
                target = await asyncio.to_thread(self._catalog.resolve, asked.model, identity)
            else:
                target = self._catalog.resolve(asked.model, identity)
            ask = await self._ask(asked, target)
            reply = wire.Reply(asked, identity, int(time.time()), target.provenance)
            headers = wire.provenance_headers(target.provenance)
            pieces = self._engine.answer(ask, identity)
            async with aclosing(pieces):  # type: ignore[type-var]
                if asked.stream:
                    await self._stream(asked, ask, reply, headers, pieces, send)
                else:
                    await self._whole(ask, reply, headers, pieces, send)

    async def _ask(self, asked: wire.Request, target: Target) -> Ask:
        """The request as token ids, behind the persona's system prompt unless it has one of its own."""
        if not asked.messages and target.system is not None:
            raise wire.BadRequestError(
                f"'{asked.model}' speaks under a system prompt, which a bare text has no place for",
                "Ask it through /v1/chat/completions.",
                "model",
            )
        messages = asked.messages
        if target.system is not None and all(message.role != "system" for message in messages):
            messages = (Message("system", target.system), *messages)
        encoder = self._engine.encoder
        size = len(asked.text) + sum(len(message.content) for message in messages)
        encode = (
            partial(encoder.prompt, Prompt(messages)) if messages else partial(encoder.plain, asked.text)
        )
        ids = await asyncio.to_thread(encode) if size > LONG else encode()
        return Ask(
            ids,
            asked.max_tokens,
            asked.temperature,
            asked.top_p,
            asked.seed,
            asked.stop,
            target.adapter,
            asked.stream,
        )

    async def _whole(
        self,
        ask: Ask,
        reply: wire.Reply,
        headers: list[tuple[bytes, bytes]],
        pieces: AsyncIterator[Piece],
        send: Send,
    ) -> None:
        text, tokens, finish = "", 0, "length"
        async for piece in pieces:
            text, tokens, finish = text + piece.text, tokens + piece.tokens, piece.finish or finish
        self._telemetry.tokens(len(ask.ids), tokens)
        await respond(send, 200, reply.whole(text, finish, (len(ask.ids), tokens)), headers)

    async def _stream(
        self,
        asked: wire.Request,
        ask: Ask,
        reply: wire.Reply,
        headers: list[tuple[bytes, bytes]],
        pieces: AsyncIterator[Piece],
        send: Send,
    ) -> None:
        """Server-sent events. Nothing is sent before the first token, so that a failure has a status."""
        tokens, held, begun = 0, b"", False
        try:
            async for piece in pieces:
                tokens += piece.tokens
                if not begun:
                    begun, held = True, reply.first()
                    start = {"type": "http.response.start", "status": 200}
                    await send({**start, "headers": [*STREAM, *headers]})
                if piece.finish:
                    usage = (len(ask.ids), tokens) if asked.include_usage else None
                    held += reply.last(piece.text, piece.finish, usage)
                elif piece.text:  # a token may be half a letter: its text comes with the next one
                    held += reply.piece(piece.text)
                if held:
                    await send(
                        {"type": "http.response.body", "body": held, "more_body": not piece.finish}
                    )
                    held = b""
        except PersonaError as error:
            if not begun:
                raise
            await send({"type": "http.response.body", "body": wire.stream_error(error)})
        finally:
            self._telemetry.tokens(len(ask.ids), tokens)

    async def _reward(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = wire.read_json(await read_body(receive))
        identity, reward = body.get("response_id", body.get("id")), body.get("reward")
        if self._feedback is None:
            raise UnknownResponseError(
                "No policy is served here.", "Serve a bandit's run and ask its policy: bandit:RUN."
            )
        result = await asyncio.to_thread(self._feedback.record, identity, reward)  # type: ignore[arg-type]
        await respond(send, 200, json.dumps(result, default=str).encode())

    async def _models(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = await asyncio.to_thread(self._catalog.names)  # it looks for what was trained meanwhile
        await respond(send, 200, wire.model_list(names))

    async def _health(self, scope: Scope, receive: Receive, send: Send) -> None:
        alive = self._engine.alive()
        await respond(send, 200 if alive else 503, b'{"status":"%s"}' % (b"ok" if alive else b"dead"))

    async def _metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind, body = self._telemetry.text()
        await respond(send, 200, body, [(b"content-type", kind.encode())])

    async def _fail(self, error: PersonaError, send: Watched) -> None:
        if send.status:  # the answer has begun: only its end can say so
            return
        status, body = wire.error_body(error)
        retry = [(b"retry-after", b"1")] if status == 503 else []
        await respond(send, status, body, retry)
