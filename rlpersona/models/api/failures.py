"""What went wrong with a call, in the words of `errors.Kind`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from rlpersona.errors import CallError, Kind
from rlpersona.models.api.keys import redact
from rlpersona.models.api.limits import retry_after

SHOWN = 300  # characters of a server's message that an error shows

FUNDS = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"}
FILTERED = {"content_filter", "content_policy_violation"}
HINTS: dict[Kind, str] = {
    "auth": "Check the API key, and that it may use this model.",
    "funds": "Add credit to the account, or use another key; what was answered is kept.",
    "request": "The server refuses the request itself: check the model's name and the settings"
    " (some models take no temperature but 1).",
    "connection": "Check base_url and the network.",
}


def status_error(status: int, body: object, headers: Mapping[str, str] | None = None) -> CallError:
    """The error for an HTTP status (400 and more) and the decoded body, of either provider.

    `headers` are looked up in lower case. Both providers put `{"error": {"type", "code", "message"}}`
    in the body; OpenAI reports an empty account as 429 insufficient_quota, Anthropic as 400 or 402.
    """
    error = body.get("error", body) if isinstance(body, Mapping) else {}
    error = error if isinstance(error, Mapping) else {"message": error}
    message = str(error.get("message") or body or "no message")
    names = {str(error.get("type")), str(error.get("code"))}
    kind = _kind(status, names, message.lower())
    wait = retry_after(headers or {}) if kind in ("rate", "server") else None
    text = f"the API answered {status}: {message[:SHOWN]}"
    return CallError(text, HINTS.get(kind, ""), kind=kind, status=status, retry_after=wait)


def _kind(status: int, names: set[str], message: str) -> Kind:
    if status == 402 or names & FUNDS or "credit balance is too low" in message:
        return "funds"
    if names & FILTERED or (status == 400 and "content filter" in message):
        return "filter"
    by_status: dict[int, Kind] = {401: "auth", 403: "auth", 408: "timeout", 409: "server", 429: "rate"}
    return by_status.get(status, "server" if status >= 500 else "request")


def decoded(content: bytes) -> dict[str, Any]:
    """The JSON object that a 200 response holds.

    Raises:
        CallError: not JSON (`connection`: it was cut short, or another server answered), or an error
            that some servers send under status 200.
    """
    try:
        body = json.loads(content)
    except ValueError:
        shown = content[:80].decode(errors="replace")
        message = f"the reply is not JSON or was cut short: {shown!r}"
        raise CallError(message, HINTS["connection"], kind="connection", status=200) from None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        code = body["error"].get("code")
        raise status_error(code if isinstance(code, int) and code >= 400 else 500, body)
    if not isinstance(body, dict):
        raise malformed(body)
    return body


def malformed(body: object) -> CallError:
    """The error for a reply that is JSON but not of the expected form."""
    return CallError(f"the reply has an unknown form: {str(body)[:80]}", kind="server", status=200)


@asynccontextmanager
async def calling(seconds: float, key: str, sdk_error: type[Exception]) -> AsyncIterator[None]:
    """Run one request of an SDK, whole reply included, and raise `CallError` if it fails.

    SDK errors hold the request with its headers, so none of them is kept as a cause; the key is
    cut out of the messages, which servers like to repeat it in.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise _timeout(seconds) from None
    except CallError as error:
        if key in error.message:
            error.message = redact(error.message, key)
            error.args = (error.message,)
        raise
    except (sdk_error, OSError, ValueError) as error:
        failure = _translated(error, seconds)
        failure.message = redact(failure.message, key)
        failure.args = (failure.message,)
        raise failure from None


def _translated(error: Exception, seconds: float) -> CallError:
    response = getattr(error, "response", None)
    if response is not None:
        try:
            body: object = json.loads(response.content)
        except ValueError:
            body = response.text
        return status_error(response.status_code, body, response.headers)
    # The SDK's class says little: openai's aiohttp transport reports resets as timeouts, too.
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, TimeoutError) or "Timeout" in type(root).__name__:
        return _timeout(seconds)
    message = f"no reply: {type(root).__name__}: {str(root)[:SHOWN]}"
    return CallError(message, HINTS["connection"], kind="connection")


def _timeout(seconds: float) -> CallError:
    return CallError(f"no whole reply within {seconds:g} s", "Raise the timeout.", kind="timeout")
