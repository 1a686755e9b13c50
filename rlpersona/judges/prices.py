"""What a call costs: dollars per million tokens by model, each price with its date and source.

Prices change and names appear: the table is checked by hand, and a YAML file adds to it or overrides it.

    gpt-9-mini: {input: 0.20, output: 0.80, as_of: 2026-11-21, source: the provider's page}

A model without a price costs None: never a guess, never zero. What runs on this machine costs 0.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rlpersona.errors import CostError, DataError
from rlpersona.types import ApiCall

BATCH_SHARE = 0.5  # of the price, for OpenAI's Batch API and Anthropic's Message Batches

# Billed with every request beyond its text: role marks, the reply's first tokens, and with a schema
# the instructions that the provider adds around it.
TOKENS_PER_MESSAGE, TOKENS_PER_CALL, TOKENS_PER_SCHEMA = 8, 16, 512


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars per million tokens in and out, the day of the price and where it was read."""

    input: float
    output: float
    as_of: str
    source: str


Prices = Mapping[str, Price]
FREE = Price(0.0, 0.0, "", "runs on this machine")

_OPENAI = {
    "gpt-3.5-turbo": (0.50, 1.50),
    "gpt-4-turbo": (10.00, 30.00),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-2024-05-13": (5.00, 15.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "o1": (15.00, 60.00),
    "o3": (2.00, 8.00),
    "o3-mini": (1.10, 4.40),
    "o4-mini": (1.10, 4.40),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "gpt-5.1": (1.25, 10.00),
    "text-embedding-3-small": (0.02, 0.0),
    "text-embedding-3-large": (0.13, 0.0),
}
# Requests of over 200,000 input tokens, which some of these bill higher, are no judge's calls.
_ANTHROPIC = {
    "claude-3-haiku": (0.25, 1.25),
    "claude-3-opus": (15.00, 75.00),
    "claude-3-5-haiku": (0.80, 4.00),
    "claude-3-5-sonnet": (3.00, 15.00),
    "claude-3-7-sonnet": (3.00, 15.00),
    "claude-sonnet-4": (3.00, 15.00),
    "claude-sonnet-4-5": (3.00, 15.00),
    "claude-sonnet-4-6": (3.00, 15.00),
    "claude-haiku-4-5": (1.00, 5.00),
    "claude-opus-4": (15.00, 75.00),
    "claude-opus-4-1": (15.00, 75.00),
    "claude-opus-4-5": (5.00, 25.00),
    "claude-opus-4-6": (5.00, 25.00),
}
SHIPPED: Prices = {
    **{m: Price(i, o, "2026-03-21", "openai.com/api/pricing") for m, (i, o) in _OPENAI.items()},
    **{m: Price(i, o, "2026-03-21", "claude.com/pricing") for m, (i, o) in _ANTHROPIC.items()},
}
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|20\d{6}|latest)$")


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    input: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    output: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    as_of: datetime.date | None = None
    source: str = ""


def load_prices(path: Path | None = None) -> Prices:
    """The shipped table, with the rows of a YAML file over it; DataError names what is wrong in it."""
    if path is None:
        return SHIPPED
    try:
        table = TypeAdapter(dict[str, _Row]).validate_python(
            yaml.safe_load(path.read_text(encoding="utf-8"))
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"Cannot read the prices in {path}: {error}", EXAMPLE) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: {where}: {first['msg']}", EXAMPLE) from None
    rows = {
        name: Price(row.input, row.output, str(row.as_of or ""), row.source or path.name)
        for name, row in table.items()
    }
    return {**SHIPPED, **rows}


EXAMPLE = (
    "Dollars per million tokens, a line a model: NAME: {input: 0.20, output: 0.80, as_of: 2026-11-21}"
)


def price_of(call: ApiCall | str, prices: Prices = SHIPPED) -> Price | None:
    """The price of a call's model, or None where nobody knows it.

    A dated name (`gpt-4o-2024-08-06`, `claude-sonnet-4-5-20250929`, `...-latest`) that has no row of
    its own costs what its family costs. A model that has no row costs nothing if it runs on this
    machine: the local judge, or a server at a loopback address.
    """
    model = call if isinstance(call, str) else call.model
    if not isinstance(call, str) and call.provider == "local":
        return FREE
    found = prices.get(model) or prices.get(_DATED.sub("", model))
    if found is None and not isinstance(call, str) and is_loopback(call.base_url):
        return FREE
    return found


def cost_of(
    call: ApiCall | str, input_tokens: int, output_tokens: int, prices: Prices = SHIPPED
) -> float | None:
    """Dollars for tokens that were billed; None where the model's price is unknown."""
    price = price_of(call, prices)
    if price is None:
        return None
    return (input_tokens * price.input + output_tokens * price.output) / 1e6


def worst_case(call: ApiCall, prices: Prices = SHIPPED) -> float | None:
    """The most dollars that one attempt at a call can cost; None where the price is unknown."""
    return cost_of(call, most_input_tokens(call), call.sampling.max_tokens, prices)


def most_input_tokens(call: ApiCall) -> int:
    """A bound that no byte-level tokenizer passes: a token per UTF-8 byte, and what frames the text."""
    size = sum(len(message.content.encode("utf-8")) for message in call.messages)
    return size + len(call.schema.encode("utf-8")) + _framing(call)


def likely_input_tokens(call: ApiCall) -> int:
    """An estimate without a tokenizer, rather high: 3 ASCII characters a token, others a token each.

    English prose has about 4 characters a token; code, names and numbers come nearer to 3.
    """
    texts = [*(message.content for message in call.messages), call.schema]
    ascii_only = [text.encode("ascii", "ignore") for text in texts]
    others = sum(len(text) - len(plain) for text, plain in zip(texts, ascii_only, strict=True))
    return -(-sum(map(len, ascii_only)) // 3) + others + _framing(call)


def _framing(call: ApiCall) -> int:
    schema = TOKENS_PER_SCHEMA if call.schema else 0
    return len(call.messages) * TOKENS_PER_MESSAGE + TOKENS_PER_CALL + schema


def unpriced(calls: Iterable[ApiCall], prices: Prices = SHIPPED) -> tuple[str, ...]:
    """The models among the calls that have no price, sorted."""
    return tuple(sorted({call.model for call in calls if price_of(call, prices) is None}))


def require_prices(calls: Iterable[ApiCall], prices: Prices = SHIPPED) -> None:
    """Refuse calls of unknown price (CostError): a cost cap could not hold them."""
    if names := unpriced(calls, prices):
        raise CostError(
            f"No price is known for {', '.join(names)}, so --max-cost cannot be kept.",
            f"Give one with --prices FILE. {EXAMPLE}",
        )


def is_loopback(base_url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(base_url).hostname or ""
    return host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
