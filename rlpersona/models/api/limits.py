"""What the response headers of an API say about its rate limits."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_WAIT_S = 600.0  # a longer Retry-After is cut to this: a typing error should not stop a run for a day

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h|d)")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits a minute, what is left of them, and the seconds until all is there again.

    Each is None where the headers do not say.
    """

    requests_limit: int | None = None
    requests_left: int | None = None
    requests_reset_s: float | None = None
    tokens_limit: int | None = None
    tokens_left: int | None = None
    tokens_reset_s: float | None = None


def read_limits(headers: Mapping[str, str], now: float | None = None) -> Limits:
    """Read OpenAI's `x-ratelimit-*` or Anthropic's `anthropic-ratelimit-*` headers.

    `now` is the time in seconds since 1970. What cannot be read counts as absent.
    https://platform.openai.com/docs/guides/rate-limits, https://docs.anthropic.com/en/api/rate-limits
    """
    if "anthropic-ratelimit-requests-limit" in headers or "anthropic-ratelimit-tokens-limit" in headers:
        at = time.time() if now is None else now
        values = [
            (
                _count(headers.get(f"anthropic-ratelimit-{name}-limit")),
                _count(headers.get(f"anthropic-ratelimit-{name}-remaining")),
                seconds_until(headers.get(f"anthropic-ratelimit-{name}-reset"), at),
            )
            for name in ("requests", "tokens")
        ]
    else:
        values = [
            (
                _count(headers.get(f"x-ratelimit-limit-{name}")),
                _count(headers.get(f"x-ratelimit-remaining-{name}")),
                duration(headers.get(f"x-ratelimit-reset-{name}")),
            )
            for name in ("requests", "tokens")
        ]
    return Limits(*values[0], *values[1])


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` (seconds or an HTTP date, RFC 9110).

    Negative and unreadable values count as absent (None), a date in the past as 0; waits are cut to
    `MAX_WAIT_S`.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, MAX_WAIT_S)
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is None and text:
        try:
            date = parsedate_to_datetime(text)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = max(0.0, date.timestamp() - (time.time() if now is None else now))
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return None if seconds is None else min(seconds, MAX_WAIT_S)


def duration(text: str | None) -> float | None:
    """Seconds of a duration such as `6m0s`, `1ms`, `1h2m3.5s` or a bare number (None: unreadable)."""
    text = (text or "").strip()
    bare = _number(text)
    if bare is not None:
        return bare
    parts = PART.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    return seconds if math.isfinite(seconds) else None


def seconds_until(text: str | None, now: float) -> float | None:
    """Seconds from `now` until an RFC 3339 time, 0 if it is past (None: unreadable)."""
    try:
        date = datetime.fromisoformat((text or "").strip())
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    """A finite number that is not negative, else None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _count(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None else int(value)
