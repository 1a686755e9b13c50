"""The gate of the service: what is not a sound request of somebody who may ask is answered here.

Plain ASGI around the app. In this order: size of the head (414, 431), whose page asks (403), the token
(401), path and method (404, 405), rate (429), open requests (503), form and size of the body (415, 413),
and its arrival in time (408). Refusals have the shape of OpenAI's errors. Nothing of them is logged.

Without a token only this machine's own pages and programs may ask: a page of another site could send
requests here from the user's browser (CSRF) or take the name of this machine (DNS rebinding), so Host
must be a loopback name and Origin the service's own. A bearer token is no ambient credential: no foreign
page can send it, so with one any name will do, as behind a proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlpersona.serving.limits import ROUTES, Limits, Rates, Route, is_loopback

if TYPE_CHECKING:
    from rlpersona.serving.asgi import App, Event, Receive, Scope, Send

SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# A client that writes its whole body before it reads would lose the answer if the connection closed on
# it at once; so much of a body that is refused is read and thrown away, for so many seconds at most.
LINGER_BYTES, LINGER_SECONDS = 32_000_000, 2.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further. `close` ends the connection, for bodies that are not read."""

    status: int
    message: str
    code: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    close: bool = False


class Guard:
    """Pass on to `app` only what `limits` allow and, if there is a `token`, who has it.

    The app gets the whole body in its first message.
    """

    def __init__(
        self,
        app: App,
        limits: Limits,
        token: bytes | None,
        routes: Mapping[str, Route] = ROUTES,
    ) -> None:
        self.app, self.limits, self.routes = app, limits, routes
        self._digest = None if token is None else hashlib.sha256(token).digest()
        per_minute = limits.requests_per_minute
        self._rates = None if per_minute is None else Rates(per_minute, limits.burst, time.monotonic)
        self._requests = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or have it answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            else:
                await send({"type": "websocket.close", "code": 1008})
            return
        head = _head(scope)
        refusal = self._examine(scope, head)
        if refusal is not None:
            await _refuse(refusal, head, receive, send)
            return
        self._requests += 1
        try:
            if scope["method"] == "POST":
                read = await _body(receive, self.limits)
                if read is None:
                    return
                if isinstance(read, Refusal):
                    await _refuse(read, head, receive, send)
                    return
                receive = _again(read, receive)
            await self.app(scope, receive, _locked(send))
        finally:
            self._requests -= 1

    def _examine(self, scope: Scope, head: dict[bytes, bytes]) -> Refusal | None:
        """What is wrong with a request before its body is read."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        route = self.routes.get(path)
        closed = route is None or not route.open
        return (
            _oversized(scope, self.limits)
            or self._stranger(head, closed)
            or _misdirected(path, route, scope["method"])
            or (self._too_many(scope) if closed else None)
            or (_unfit_body(head, self.limits) if scope["method"] == "POST" else None)
        )

    def _stranger(self, head: dict[bytes, bytes], closed: bool) -> Refusal | None:
        if self._digest is None:
            reason = _foreign(head)
            return Refusal(403, reason, "foreign_request") if reason else None
        return _unauthorized(head, self._digest) if closed else None

    def _too_many(self, scope: Scope) -> Refusal | None:
        if self._rates is not None:
            wait = self._rates.wait((scope.get("client") or ("",))[0])
            if wait:
                text = f"More than {self.limits.requests_per_minute:g} requests a minute."
                return Refusal(429, text, "rate_limit_exceeded", _retry(wait))
        if self._requests >= self.limits.requests:
            return Refusal(503, "All places are taken; ask again shortly.", "overloaded", _retry(1))
        return None


def _head(scope: Scope) -> dict[bytes, bytes]:
    """Headers by name; of repeated ones all values, joined as HTTP allows."""
    head: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        head[name] = head[name] + b", " + value if name in head else value
    return head


def _oversized(scope: Scope, limits: Limits) -> Refusal | None:
    headers = scope["headers"]
    if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > limits.path_bytes:
        return Refusal(414, f"The address is over {limits.path_bytes} bytes.", "path_too_long")
    if (
        len(headers) > limits.headers
        or sum(len(name) + len(value) for name, value in headers) > limits.header_bytes
    ):
        text = f"More than {limits.headers} headers, or {limits.header_bytes} bytes of them."
        return Refusal(431, text, "headers_too_large", close=True)
    return None


def _foreign(head: dict[bytes, bytes]) -> str:
    """Why a request comes from elsewhere; empty if it may come from this machine's own page."""
    host = head.get(b"host", b"").decode("latin-1")
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    if not is_loopback(name):
        return "Host must be a name of this machine, as 127.0.0.1 or localhost."
    origin = head.get(b"origin")
    if origin is not None and origin.decode("latin-1") not in (f"http://{host}", f"https://{host}"):
        return "Pages of other sites may not ask here."
    return ""


def _unauthorized(head: dict[bytes, bytes], digest: bytes) -> Refusal | None:
    """Compare digests: of equal length whatever was sent, and in constant time."""
    scheme, _, given = head.get(b"authorization", b"").partition(b" ")
    challenge = ((b"www-authenticate", b"Bearer"),)
    if scheme.lower() != b"bearer" or not given:
        text = "This service wants its token: send 'Authorization: Bearer TOKEN'."
        return Refusal(401, text, "missing_token", challenge)
    if len(given) > 1024:
        return Refusal(401, "The token is too long to be one.", "invalid_token", challenge)
    if not hmac.compare_digest(hashlib.sha256(given).digest(), digest):
        return Refusal(401, "That is not this service's token.", "invalid_token", challenge)
    return None


def _misdirected(path: str, route: Route | None, method: str) -> Refusal | None:
    if route is None:
        return Refusal(404, f"There is no path {path[:100]!r} here.", "unknown_path")
    if method in route.methods:
        return None
    allowed = ", ".join(route.methods)
    headers = ((b"allow", allowed.encode()),)
    return Refusal(405, f"{path} takes {allowed}.", "method_not_allowed", headers)


def _unfit_body(head: dict[bytes, bytes], limits: Limits) -> Refusal | None:
    """Refuse what no HTML form may be kept from sending, and what says of itself that it is too long."""
    kind = head.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json" or head.get(b"content-encoding", b"identity") != b"identity":
        return Refusal(415, "Send plain JSON: 'Content-Type: application/json'.", "not_json")
    length = head.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > 18:
        return Refusal(400, "Content-Length is no number.", "bad_length", close=True)
    return _too_long(limits) if int(length) > limits.body else None


def _too_long(limits: Limits) -> Refusal:
    return Refusal(413, f"The body is over {limits.body} bytes.", "body_too_large", close=True)


async def _body(receive: Receive, limits: Limits) -> bytes | Refusal | None:
    """The whole body; None if the client has gone."""
    parts, length = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                part = message.get("body", b"")
                length += len(part)
                if length > limits.body:
                    return _too_long(limits)
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        text = f"The body did not arrive within {limits.body_seconds:g} s."
        return Refusal(408, text, "request_timeout", close=True)


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once, then what the client does next."""
    given = False

    async def once() -> Event:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return once


def _locked(send: Send) -> Send:
    """A `send` that adds the headers which say what a browser may do with the answer."""

    async def sending(message: Event) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *SECURITY]}
        await send(message)

    return sending


async def _refuse(refusal: Refusal, head: dict[bytes, bytes], receive: Receive, send: Send) -> None:
    kind = KINDS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "server_error")
    error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *refusal.headers,
        *SECURITY,
        *([(b"connection", b"close")] if refusal.close else []),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if refusal.status == 413 and b"expect" not in head:
        await _throw_away(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _throw_away(receive: Receive) -> None:
    """Read what a client that was refused still sends."""
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


def _retry(seconds: float) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"retry-after", str(max(1, math.ceil(seconds))).encode()),)
