"""Language models behind an API: OpenAI, Anthropic, and any server that speaks their formats.

One layer asks once and says what came of it. Retries, pacing and records belong to whoever asks: the
SDKs' own retries are off, because they know neither the shared limits nor what was paid for.
"""

from __future__ import annotations

from typing import Protocol

from rlpersona.errors import JudgeError, did_you_mean
from rlpersona.models.api.keys import key_for
from rlpersona.models.api.limits import Limits
from rlpersona.types import ApiCall, ApiReply

__all__ = ["Limits", "Provider", "key_for", "provider_for"]


class Provider(Protocol):
    """One account at one address. Belongs to the event loop in which it is first used."""

    async def ask(self, call: ApiCall, timeout: float) -> tuple[ApiReply, Limits]:
        """Send one call and wait at most `timeout` seconds for the whole reply.

        A reply that the token cap cut or a filter ended has come and is billed: it is returned with
        its `finish`. Tokens are 0 where the server does not report them.

        Raises:
            CallError: nothing usable came. `kind` is one of rate, server, timeout, connection (asking
                again may help), auth, funds, request (it will not), filter (this call never will).
        """
        ...

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        ...


def provider_for(name: str, base_url: str, key: str) -> Provider:
    """The provider called `name` (`openai` or `anthropic`); an empty `base_url` is its own address.

    Raises:
        JudgeError: an unknown name.
    """
    if name == "openai":
        from rlpersona.models.api.openai import OpenAIProvider

        return OpenAIProvider(base_url, key)
    if name == "anthropic":
        from rlpersona.models.api.anthropic import AnthropicProvider

        return AnthropicProvider(base_url, key)
    known = ("openai", "anthropic")
    raise JudgeError(f"unknown provider '{name}'", did_you_mean(name, known))
