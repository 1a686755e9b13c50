"""What a request may take, who may ask, and how the token of a service is kept."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from rlpersona.errors import ConfigError

if TYPE_CHECKING:
    from rlpersona.config import ServeConfig

TOKEN = re.compile(rb"[A-Za-z0-9._~+/=-]{20,512}")
SPARE = 64  # open requests beside those that an engine answers or lets wait: models, feedback, choices
CLIENTS = 10_000  # whose rates are remembered; the one that was silent longest is forgotten first


@dataclass(frozen=True, slots=True)
class Route:
    """A path of the service: its methods, and whether it is open to those without the token."""

    methods: tuple[str, ...] = ("POST",)
    open: bool = False


READ = ("GET", "HEAD")
ROUTES: Mapping[str, Route] = MappingProxyType(
    {
        "/": Route(READ, open=True),  # the page holds nothing; what it shows it asks for, with the token
        "/health": Route(READ, open=True),
        "/metrics": Route(READ),
        "/v1/models": Route(READ),
        "/v1/chat/completions": Route(),
        "/v1/completions": Route(),
        "/v1/feedback": Route(),
        "/v1/preferences": Route(),
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request and of all together, for one process that answers.

    `burst` is how many requests a client may send at once before `requests_per_minute` counts.
    `requests` are those that are worked on or wait; beyond them 503. `body_seconds` is the time that a
    body may take to arrive whole.
    """

    body: int = 1_000_000
    body_seconds: float = 15.0
    headers: int = 64
    header_bytes: int = 16_384
    path_bytes: int = 2_048
    requests: int = 384
    requests_per_minute: float | None = None
    burst: int = 16

    @classmethod
    def of(cls, config: ServeConfig) -> Limits:
        """The bounds of a service, for each of its replicas."""
        return cls(
            body=config.max_body,
            body_seconds=config.idle_timeout,
            requests=config.in_flight + config.queue + SPARE,
            requests_per_minute=config.requests_per_minute,
        )


class Rates:
    """A token bucket for each client: `per_minute` on the long run, `burst` at once.

    Counts are of this process: a service of k replicas lets a client have up to k times the rate.
    """

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float]) -> None:
        self.per_second, self.burst, self.clock = per_minute / 60, float(burst), clock
        self._buckets: dict[str, tuple[float, float]] = {}  # what was left, and when

    def wait(self, client: str) -> float:
        """Take one request of a client: 0, or the seconds after which there will be one to take."""
        key = _network(client) if ":" in client else client
        now = self.clock()
        left, then = self._buckets.pop(key, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.per_second)
        granted = left >= 1.0
        self._buckets[key] = (left - granted, now)
        if len(self._buckets) > CLIENTS:
            del self._buckets[next(iter(self._buckets))]
        return 0.0 if granted else (1.0 - left) / self.per_second


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def service_token(config: ServeConfig, *, make: bool = False) -> bytes | None:
    """The bearer token that a service asks for; None where it asks for none.

    With `make`, a token file that is not there is made, readable by its owner alone.

    Raises:
        ConfigError: the service can be reached from elsewhere and has no token, or the file is missing,
            holds no token, or can be read by others.
    """
    if not config.token_file:
        if is_loopback(config.host):
            return None
        raise ConfigError(
            f"host={config.host} can be reached from other machines, and no token is asked for.",
            "Give a file for the token, it is made if missing: token_file=serve.token; or stay on this "
            "machine: host=127.0.0.1",
        )
    path = Path(config.token_file).expanduser()
    if make and not path.exists():
        _make_token(path)
    return _read_token(path)


def _make_token(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(
            f"The token file {path} cannot be made: {error.strerror}.", "Name another: token_file=FILE"
        ) from error


def _read_token(path: Path) -> bytes:
    """The token in a file; its text never becomes part of an error."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(1024).strip()
    except FileNotFoundError:
        raise ConfigError(
            f"There is no token file {path}.",
            "`rlpersona serve` makes one; or: (umask 077; openssl rand -hex 32 > FILE)",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"The token file {path} cannot be read: {error.strerror}.", "Name a file: token_file=FILE"
        ) from error
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
        raise ConfigError(
            f"The token file {path} can be read by others (mode {stat.S_IMODE(status.st_mode):03o}).",
            f"chmod 600 {path}; if others may have read it, delete it: the next start makes another.",
        )
    if not TOKEN.fullmatch(text):
        raise ConfigError(
            f"The token file {path} holds no token: one line of 20 to 512 letters, digits and ._~+/=-",
            "Delete the file: the next start makes another.",
        )
    return text


def _network(address: str) -> str:
    """An IPv6 client's /64, since one machine has all of its addresses; an IPv4 address as it is."""
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or ipaddress.IPv6Network((found, 64), strict=False))
