"""The desk as a page in the browser, on this machine only.

The address holds a random token, so that neither another user of the machine nor a foreign page can read
or press anything; requests under a foreign Host or Origin are refused (DNS rebinding, CSRF). The page is
one file without foreign parts, and writes model text as text, never as markup.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from rlpersona.errors import ConfigError, PersonaError
from rlpersona.preferences.desk import KEYS, Desk, Key

if TYPE_CHECKING:
    from aiohttp import web

HOST = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
Handler = Callable[["web.Request"], Awaitable["web.StreamResponse"]]


def serve_desk(desk: Desk, title: str, guidelines: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the desk until the page says quit, or Ctrl-C. `ready` is given the address.

    `port` 0 takes a free one. ConfigError if the port is taken; a label that cannot be written stops the
    server with its StorageError after the page has said so.
    """
    import asyncio
    from contextlib import suppress

    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(desk, title, guidelines, port, ready))


async def _serve(
    desk: Desk, title: str, guidelines: str, port: int, ready: Callable[[str], None]
) -> None:
    import asyncio

    from aiohttp import web

    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    token = secrets.token_urlsafe(18)
    application = make_app(desk, title, guidelines, token, over)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port, shutdown_timeout=1.0)
        try:
            await site.start()
        except OSError as error:
            raise ConfigError(
                f"Port {port} of {HOST} cannot be used: {error.strerror}.", "Take another: --port 0"
            ) from error
        ready(f"http://{HOST}:{runner.addresses[0][1]}/{token}/")
        await over
    finally:
        await runner.cleanup()


def make_app(desk: Desk, title: str, guidelines: str, token: str, over: Any) -> web.Application:
    """The application under `/TOKEN/`; `over` is a future that ends when labelling does."""
    from aiohttp import web

    text = files("rlpersona.preferences").joinpath("page.html").read_text(encoding="utf-8")

    async def page(_: web.Request) -> web.Response:
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return web.Response(
            text=text.replace("NONCE", nonce),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def state(_: web.Request) -> web.Response:
        return web.json_response(_state(desk, title, guidelines))

    async def press(request: web.Request) -> web.Response:
        asked = await _body(request)
        if asked.get("key") == "quit":
            over.done() or over.set_result(None)
            return web.json_response({"quit": True})
        if asked.get("key") not in KEYS or not isinstance(asked.get("pair"), str):
            raise web.HTTPBadRequest(text="no such key")
        try:
            taken = desk.press(cast(Key, asked["key"]), asked["pair"])
        except PersonaError as error:
            over.done() or over.set_exception(error)
            return web.json_response({"error": error.message}, status=507)
        return web.json_response(_state(desk, title, guidelines), status=200 if taken else 409)

    application = web.Application(middlewares=[web.middleware(_guard)], client_max_size=4096)
    application.router.add_get(f"/{token}/", page)
    application.router.add_get(f"/{token}/state", state)
    application.router.add_post(f"/{token}/press", press)
    return application


async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse whoever comes under another name or from another page; add the headers."""
    from aiohttp import web

    assert request.transport is not None
    port = request.transport.get_extra_info("sockname")[1]
    ours = {f"{HOST}:{port}", f"localhost:{port}"}
    origin = request.headers.get("Origin")
    if request.host not in ours or (origin is not None and origin.removeprefix("http://") not in ours):
        raise web.HTTPForbidden(text="not from this machine's own page")
    response = await handler(request)
    response.headers.update(HEADERS)
    return response


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; 415 unless it says that it is JSON, which no form can, else 400."""
    from aiohttp import web

    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send JSON")
    try:
        asked = await request.json()
    except ValueError:
        asked = None
    if not isinstance(asked, dict):
        raise web.HTTPBadRequest(text="send a JSON object")
    return asked


def _state(desk: Desk, title: str, guidelines: str) -> dict[str, Any]:
    """All that the page shows."""
    card = desk.card
    return {
        "title": title,
        "guidelines": guidelines,
        "done": desk.done,
        "total": desk.total,
        "counts": desk.counts,
        "pair": card.pair if card else "",
        "card": card and {"prompt": card.prompt, "left": card.left, "right": card.right},
    }
