"""Ray for the length of a `with` block: joined where one runs, else started on this machine."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rlpersona.errors import ConfigError

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # at the default of 15 workers starve beside anything else that runs
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Train workers wait for the controller at each report: 2 s by default.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # 107 MB for machines that are not preempted
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it prints twice
}
STARTS = 3  # of a Ray on a busy machine
# Without it Ray replaces 127.0.0.1 by the outer address. It counts when ray is first imported.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# Shows trainings on the dashboard: a process more, for a page that outlives the job.
JOINED = {"RAY_TRAIN_ENABLE_STATE_TRACKING": "1"}


@contextmanager
def ray_session(
    cpus: int | None = None, gpus: int | None = None, address: str | None = None
) -> Iterator[None]:
    """Start or join Ray; on leaving, shut down only what was started here.

    Joined is, in this order: a Ray that this process already uses, the cluster at `address`, the one
    that RAY_ADDRESS names (`ray job submit` sets it). Otherwise a local Ray starts on 127.0.0.1 with
    `cpus` and `gpus` (None: all there are).

    Raises:
        ConfigError: no cluster answers at `address`.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    for name, value in {**SETTINGS, **(LOOPBACK if address == "local" else JOINED)}.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    if address != "local":
        try:
            host, _, port = address.removeprefix("ray://").rpartition(":")
            if host and port.isdigit():
                knock(host, int(port))
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster answers at '{address}': {error}",
                "Start one with `ray start --head`, correct the address, or leave it out to run here.",
            ) from error
    else:
        lock_token()
        _start(cpus, gpus)
    try:
        yield
    finally:
        ray.shutdown()


def _start(cpus: int | None, gpus: int | None) -> None:
    """Start Ray on this machine; again where its parts did not find each other within Ray's own 30 s."""
    import ray

    for left in reversed(range(STARTS)):
        try:
            ray.init(
                address="local",
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=True,  # without it Ray warns every second
                dashboard_host="127.0.0.1",
                _node_ip_address="127.0.0.1",
                logging_level=logging.ERROR,
                log_to_driver=False,
            )
            return
        except Exception as error:  # Ray raises no class of its own here
            ray.shutdown()
            if not left or "timed out during startup" not in str(error):
                raise


def knock(host: str, port: int) -> None:
    """OSError if nobody listens there: Ray itself would try for minutes."""
    socket.create_connection((host, port), timeout=10).close()


def lock_token() -> None:
    """Make the token of the clusters that are started here, in a file that nobody else can read.

    Ray would write its file with the rights that the umask leaves, 0644 as a rule. A file that is there
    is kept and closed to others. Nothing is done where RAY_AUTH_MODE says otherwise or the token stands
    in RAY_AUTH_TOKEN.

    Raises:
        ConfigError: the file cannot be written or closed.
    """
    if os.environ.get("RAY_AUTH_MODE", "token").lower() != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    path = token_path()
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.NamedTemporaryFile("w", dir=path.parent) as file:  # of mode 0600
                file.write(secrets.token_hex(32))
                file.flush()
                with suppress(FileExistsError):  # another process was faster: its token stands
                    os.link(file.name, path)
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise ConfigError(
            f"Ray's token file {path} cannot be made private: {error.strerror}.",
            "Name one of your own: RAY_AUTH_TOKEN_PATH=FILE",
        ) from error


def token_path() -> Path:
    """The file that Ray reads its token from."""
    named = os.environ.get("RAY_AUTH_TOKEN_PATH")
    return Path(named).expanduser() if named else Path.home() / ".ray" / "auth_token"
