"""The page at `/`, and the choices that it stores: two ASGI apps for `Service(pages=...)`.

The page is one file without foreign parts. It writes what models say as text, never as markup, and its
policy lets nothing else run. What it shows it asks the service for, with the token if there is one.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from rlpersona.errors import ConfigError
from rlpersona.preferences.drafts import BadRowError, Messages, messages, text
from rlpersona.preferences.labels import label_file
from rlpersona.serving.asgi import App, Receive, Scope, Send, read_body, respond
from rlpersona.serving.choices import ChoiceBook, Seen, Side, Verdict
from rlpersona.serving.wire import BadRequestError, read_json

VERDICTS = ("left", "right", "tie", "skip")
ABOUT_BYTES = 4_096  # of an answer's provenance
POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def pages(root: Path) -> dict[str, App]:
    """The playground's apps by path; choices go to `root/serving`."""
    book = ChoiceBook(root / "serving")
    source = files("rlpersona.serving").joinpath("playground.html").read_text(encoding="utf-8")

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        nonce = secrets.token_urlsafe(16)
        headers = [
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-security-policy", POLICY.format(nonce).encode()),
        ]
        await respond(send, 200, source.replace("NONCE", nonce).encode(), headers)

    async def preferences(scope: Scope, receive: Receive, send: Send) -> None:
        seen = read_choice(read_json(await read_body(receive)))
        row = await asyncio.to_thread(book.store, seen)
        counts = await asyncio.to_thread(book.counts)
        stored = {"id": row["id"], "choice": seen.verdict, "counts": counts}
        await respond(send, 200, json.dumps(stored).encode())

    return {"/": page, "/v1/preferences": preferences}


def read_choice(body: Mapping[str, Any]) -> Seen:
    """What the page posts: `messages`, `left`, `right`, `choice`, `annotator`, `blind`, `seconds`.

    A side has `text` and `model`, and perhaps `id`, `finish_reason` and `rlpersona` as its response had:
    flat, since who reads a stored line may have less room for nesting than who wrote it.

    Raises:
        BadRequestError: something is missing, of the wrong type, or no pair of two different answers.
    """
    turns = _turns(body.get("messages"))
    left, right = (_side(body.get(name), name) for name in ("left", "right"))
    if left.text.split() == right.text.split():
        raise BadRequestError("Both answers are the same.", "There is nothing to choose.", "right")
    verdict = body.get("choice")
    if verdict not in VERDICTS:
        raise BadRequestError(f"choice is none of {', '.join(VERDICTS)}.", param="choice")
    annotator = body.get("annotator") or "playground"
    try:
        label_file(Path(), annotator)
    except (ConfigError, TypeError):
        raise BadRequestError(
            "annotator is no name.", "Use 1 to 64 letters, digits, '.', '_' and '-'.", "annotator"
        ) from None
    blind, seconds = body.get("blind", False), body.get("seconds")
    if not isinstance(blind, bool):
        raise BadRequestError("blind is neither true nor false.", param="blind")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 <= seconds < 1e9):
        raise BadRequestError("seconds is no number of seconds.", param="seconds")
    return Seen(turns, left, right, cast(Verdict, verdict), annotator, blind, seconds)


def _turns(value: Any) -> Messages:
    if not isinstance(value, list) or not value:
        raise BadRequestError("messages is missing or no list.", param="messages")
    try:
        turns = messages(value, "messages")
    except BadRowError as error:
        raise BadRequestError(f"{error}.", param="messages") from None
    if turns[-1][0] != "user" or not turns[-1][1].strip():
        raise BadRequestError("messages does not end with a question of the user.", param="messages")
    return turns


def _side(value: Any, name: str) -> Side:
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} is missing or no object.", param=name)
    about = value.get("rlpersona") or {}
    small = BadRequestError(f"{name}.rlpersona is no small object of plain values.", param=name)
    if not isinstance(about, dict) or any(isinstance(one, dict | list) for one in about.values()):
        raise small
    try:
        answer = text(value.get("text"), f"{name}.text")
        model = text(value.get("model"), f"{name}.model")
        response = text(value.get("id") or "", f"{name}.id")
        finish = text(value.get("finish_reason") or "", f"{name}.finish_reason")
        size = len(text(json.dumps(about, ensure_ascii=False, allow_nan=False), f"{name}.rlpersona"))
    except ValueError as error:  # a BadRowError among them, and a number that JSON has not
        raise BadRequestError(f"{error}.", param=name) from None
    if not answer.strip() or not model:
        raise BadRequestError(f"{name} has no text or no model.", param=name)
    if max(size, len(model), len(response), len(finish)) > ABOUT_BYTES:
        raise small
    return Side(answer, model, response, finish, about)
