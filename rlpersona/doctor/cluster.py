"""What Ray needs: a token of one's own, free ports, and the cluster that the environment names."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from rlpersona.doctor.finding import Finding, noted
from rlpersona.errors import ServeError
from rlpersona.runtime.session import token_path

PORTS = {
    8265: ("Ray's dashboard", "A run here takes the next free port; `ray start --dashboard-port=...`"),
    6379: ("a Ray head", "ray start --head --port=..."),
    8000: ("serving", "rlpersona serve RUN port=..."),
}


def token() -> Finding:
    """Whether clusters that are started here want a token, and whether others can read it."""
    mode = os.environ.get("RAY_AUTH_MODE", "token").lower()
    if mode != "token":
        fix = "Whoever reaches a cluster without one runs code on it: unset RAY_AUTH_MODE"
        return noted("Ray token", f"off (RAY_AUTH_MODE={mode})", good=False, fix=fix)
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Finding("Ray token", "in RAY_AUTH_TOKEN")
    path = token_path()
    if not path.is_file():
        return Finding("Ray token", f"none yet: the first run makes {path}")
    rights = path.stat().st_mode & 0o777
    return noted("Ray token", f"{path} ({rights:04o})", not rights & 0o077, f"chmod 600 {path}")


def ports() -> Iterator[Finding]:
    """The usual ports: free, or taken by whom."""
    for port, (use, fix) in PORTS.items():
        with socket.socket() as probe:
            probe.settimeout(1)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        found = f"taken by {holder(port)}" if taken else "free"
        yield noted(f"port {port}", f"{found} ({use})", not taken, fix)


def holder(port: int) -> str:
    """Name and number of the process that listens at a port, as far as we may see."""
    import psutil  # type: ignore[import-untyped]

    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port:
                number = connection.pid
                return f"{psutil.Process(number).name()}, pid {number}" if number else "another user"
    except psutil.Error:
        pass
    return "a process that cannot be seen"


def clusters() -> Iterator[Finding]:
    """The cluster that experiments would join, if the environment names one: it must answer."""
    address = os.environ.get("RAY_API_SERVER_ADDRESS") or os.environ.get("RAY_ADDRESS")
    if not address:
        return
    from rlpersona.runtime.jobs import Cluster

    try:
        found = Cluster(address)
    except ServeError as error:
        yield Finding("Ray cluster", error.message, ok=False, fix=error.hint or "unset RAY_ADDRESS")
    else:
        yield Finding("Ray cluster", f"{found.address} (Ray {found.version})")
