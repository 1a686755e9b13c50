"""Headers and error bodies: what they say, and that nothing wild in them does harm."""

from __future__ import annotations

import contextlib
import json
import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.errors import CallError
from rlpersona.models.api.failures import decoded, status_error
from rlpersona.models.api.limits import (
    MAX_WAIT_S,
    Limits,
    duration,
    read_limits,
    retry_after,
    seconds_until,
)

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("2", 2.0),
        ("0", 0.0),
        ("0.25", 0.25),
        ("-1", None),
        ("-0.5", None),
        ("1000000000", MAX_WAIT_S),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 08:00:30", 30.0),
        ("Sun, 06 Nov 9999 08:49:37 GMT", MAX_WAIT_S),
        ("Fri, 99 Jan 2027 08:00:30 GMT", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": header}, NOW) == seconds


def test_retry_after_in_milliseconds_is_the_finer_word() -> None:
    assert retry_after({"retry-after-ms": "120", "retry-after": "1"}, NOW) == 0.12
    assert retry_after({"retry-after-ms": "-5", "retry-after": "1"}, NOW) == 1.0
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1ms", 0.001),
        ("8.64s", 8.64),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("250us", 0.00025),
        ("7.66", 7.66),
        ("-1s", None),
        ("1m nonsense", None),
        ("m", None),
        ("", None),
        (None, None),
    ],
)
def test_durations(text: str | None, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))


@given(st.integers(0, 10**9))
def test_a_duration_written_in_parts_is_read_back(milliseconds: int) -> None:
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m{rest // 1000}s{rest % 1000}ms"
    assert duration(text) == pytest.approx(milliseconds / 1000)


@given(st.text(max_size=40) | st.floats().map(str) | st.integers().map(str))
def test_no_header_breaks_the_reading_or_makes_a_wait_that_is_none(text: str) -> None:
    wait = retry_after({"retry-after": text, "retry-after-ms": text[::-1]}, NOW)
    assert wait is None or 0 <= wait <= MAX_WAIT_S
    for value in (duration(text), seconds_until(text, NOW)):
        assert value is None or (value >= 0 and math.isfinite(value))
    names = [f.format(n) for n in ("requests", "tokens") for f in ("x-ratelimit-limit-{}",)]
    limits = read_limits(dict.fromkeys(names, text), NOW)
    assert limits.requests_limit is None or limits.requests_limit >= 0


@given(st.floats(0, 10**6))
def test_http_dates_come_back_to_the_second(ahead: float) -> None:
    wait = retry_after({"retry-after": formatdate(NOW + ahead, usegmt=True)}, NOW)
    assert wait == min(math.floor(ahead), MAX_WAIT_S)


def test_openai_limit_headers() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert read_limits(headers) == Limits(60, 59, 1.0, 150000, 149984, 360.0)
    assert read_limits({}) == Limits()


def test_anthropic_limit_headers() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:12Z",
        "anthropic-ratelimit-tokens-limit": "40000",
        "anthropic-ratelimit-tokens-remaining": "39000",
        "anthropic-ratelimit-tokens-reset": "2027-01-15T07:59:59+00:00",
    }
    assert read_limits(headers, NOW) == Limits(50, 0, 12.0, 40000, 39000, 0.0)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"code": "rate_limit_exceeded", "type": "requests"}, "rate"),
        (429, {"code": "insufficient_quota", "type": "insufficient_quota"}, "funds"),
        (429, {"type": "rate_limit_error"}, "rate"),
        (402, {"type": "billing_error"}, "funds"),
        (400, {"type": "invalid_request_error", "message": "Your credit balance is too low"}, "funds"),
        (400, {"type": "invalid_request_error", "message": "temperature: too high"}, "request"),
        (400, {"code": "content_filter"}, "filter"),
        (400, {"message": "Output blocked by content filtering policy"}, "filter"),
        (401, {}, "auth"),
        (403, {}, "auth"),
        (404, {"message": "no such model"}, "request"),
        (408, {}, "timeout"),
        (409, {}, "server"),
        (413, {}, "request"),
        (422, {}, "request"),
        (500, {}, "server"),
        (503, {}, "server"),
        (529, {"type": "overloaded_error"}, "server"),
    ],
)
def test_every_status_has_its_kind(status: int, error: dict[str, str], kind: str) -> None:
    raised = status_error(status, {"error": error})
    assert (raised.kind, raised.status) == (kind, status)
    assert str(status) in str(raised)


def test_only_what_is_asked_again_waits_for_retry_after() -> None:
    headers = {"retry-after": "3"}
    waits = {
        code: status_error(code, {}, headers).retry_after for code in (429, 503, 401, 400, 402, 404)
    }
    assert waits == {429: 3.0, 503: 3.0, 401: None, 400: None, 402: None, 404: None}


@given(
    st.integers(400, 599), st.recursive(st.none() | st.text() | st.integers(), st.lists, max_leaves=5)
)
def test_any_body_gives_an_error_of_one_screen(status: int, body: object) -> None:
    for wild in (body, {"error": body}, {"error": {"message": body, "code": body, "type": body}}):
        assert len(str(status_error(status, wild))) < 400


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_an_error(content: bytes) -> None:
    kind = "connection"
    with contextlib.suppress(ValueError):
        if isinstance(json.loads(content), dict):
            return
        kind = "server"
    with pytest.raises(CallError) as caught:
        decoded(content)
    assert caught.value.kind == kind


def test_an_error_under_status_200_is_an_error() -> None:
    with pytest.raises(CallError, match="slow down") as caught:
        decoded(json.dumps({"error": {"message": "slow down", "code": 429}}).encode())
    assert caught.value.kind == "rate"
    with pytest.raises(CallError, match="overloaded") as caught:
        decoded(b'{"error": {"message": "overloaded", "code": "busy"}}')
    assert caught.value.kind == "server"
