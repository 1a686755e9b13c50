"""Rates, and the token of a service: how it is kept and when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlpersona.config import ServeConfig
from rlpersona.errors import ConfigError
from rlpersona.serving import limits
from rlpersona.serving.limits import Limits, Rates, is_loopback, service_token


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.floats(1, 600), st.integers(1, 20))
def test_no_window_grants_more_than_the_burst_and_its_rate(
    gaps: list[float], per_minute: float, burst: int
) -> None:
    clock = Clock()
    rates = Rates(per_minute, burst, clock)
    granted = []
    for gap in gaps:
        clock.now += gap
        if rates.wait("10.0.0.1") == 0:
            granted.append(clock.now)
    assert len(granted) >= min(burst, len(gaps)), "a burst is always free"
    for first in range(len(granted)):
        for last in range(first, len(granted)):
            most = burst + (granted[last] - granted[first]) * per_minute / 60
            assert last - first + 1 <= most + 1e-6


def test_who_is_sent_away_comes_through_after_the_time_that_was_named() -> None:
    clock = Clock()
    rates = Rates(60, 2, clock)
    assert [rates.wait("a") for _ in range(2)] == [0, 0]
    wait = rates.wait("a")
    assert wait == pytest.approx(1.0)
    assert rates.wait("b") == 0, "another client has a rate of its own"
    clock.now += wait - 0.01
    assert rates.wait("a") == pytest.approx(0.01)
    clock.now += 0.011
    assert rates.wait("a") == 0


def test_ipv4_clients_of_a_socket_for_both_are_told_apart() -> None:
    rates = Rates(60, 1, Clock())
    assert rates.wait("::ffff:10.0.0.1") == 0
    assert rates.wait("::ffff:10.0.0.2") == 0
    assert rates.wait("10.0.0.1") > 0, "the same client by its other name"
    assert rates.wait("fe80::1%eth0") == 0
    assert rates.wait("a:b") == 0, "no address at all"


def test_a_machine_cannot_spread_over_its_ipv6_addresses_nor_fill_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = Rates(60, 1, Clock())
    assert rates.wait("2001:db8::1") == 0
    assert rates.wait("2001:db8::ffff:2") > 0, "the same /64"
    assert rates.wait("2001:db8:0:1::1") == 0
    monkeypatch.setattr(limits, "CLIENTS", 3)
    for client in "abcde":
        rates.wait(client)
    assert len(rates._buckets) <= 3
    assert rates.wait("e") > 0, "the latest are remembered"


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        *[(host, True) for host in ("127.0.0.1", "localhost", "::1", "[::1]", "127.8.8.8")],
        *[(host, False) for host in ("0.0.0.0", "::", "", "10.0.0.1", "localhost.evil.example")],
        *[(host, False) for host in ("127.0.0.1.evil.example", "example.org", "127.0.0.1, evil")],
    ],
)
def test_what_only_this_machine_reaches(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here


def test_beyond_this_machine_a_token_is_required(tmp_path: Path) -> None:
    assert service_token(ServeConfig()) is None
    for host in ("0.0.0.0", "::", "10.1.2.3", "gpu-box"):
        with pytest.raises(ConfigError, match="no token is asked for") as caught:
            service_token(ServeConfig(host=host))
        assert "token_file=" in caught.value.hint
    file = tmp_path / "deep" / "serve.token"
    token = service_token(ServeConfig(host="0.0.0.0", token_file=str(file)), make=True)
    assert token
    assert service_token(ServeConfig(token_file=str(file))) == token, "also where it is optional"


def test_a_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "serve.token"
    config = ServeConfig(token_file=str(file))
    with pytest.raises(ConfigError, match="There is no token file"):
        service_token(config)
    old = os.umask(0)
    try:
        token = service_token(config, make=True)
    finally:
        os.umask(old)
    assert token is not None
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(token) >= 43, "256 bits"
    assert service_token(config, make=True) == token
    other = service_token(ServeConfig(token_file=str(tmp_path / "other")), make=True)
    assert other != token


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o777])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "serve.token"
    file.write_text("s3cret-s3cret-s3cret-s3cret")
    file.chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        service_token(ServeConfig(token_file=str(file)))
    assert "chmod 600" in caught.value.hint


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "two words of a token, twenty", "ümlaut" * 9, "x" * 513, "a\nb" * 20]
)
def test_what_is_no_token_is_refused_and_never_shown(tmp_path: Path, text: str) -> None:
    file = tmp_path / "serve.token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no token") as caught:
        service_token(ServeConfig(token_file=str(file)))
    assert not text.strip() or text.strip() not in str(caught.value) + caught.value.hint


def test_places_that_hold_no_file_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "under"):
        with pytest.raises(ConfigError):
            service_token(ServeConfig(token_file=str(path)), make=True)


def test_limits_follow_the_config() -> None:
    config = ServeConfig(max_body=5000, idle_timeout=3, in_flight=4, queue=6, requests_per_minute=30)
    bounds = Limits.of(config)
    assert (bounds.body, bounds.body_seconds, bounds.requests) == (5000, 3, 10 + limits.SPARE)
    assert bounds.requests_per_minute == 30
