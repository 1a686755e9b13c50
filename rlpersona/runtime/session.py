"""Ray for the length of a `with` block: joined where one runs, else started on this machine."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from rlpersona.errors import ConfigError

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # at the default of 15 workers starve beside anything else that runs
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Train workers wait for the controller at each report: 2 s by default.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # 107 MB for machines that are not preempted
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",  # it prints twice
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "1",  # shows training runs on the dashboard
}
# Without it Ray replaces 127.0.0.1 by the outer address. It counts when ray is first imported.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


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
    for name, value in {**SETTINGS, **(LOOPBACK if address == "local" else {})}.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        yield
        return
    if address != "local":
        try:
            _knock(address)
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"no Ray cluster answers at '{address}': {error}",
                "Start one with `ray start --head`, correct the address, or leave it out to run here.",
            ) from error
    else:
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
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """OSError if nobody listens at `host:port`: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=10).close()
