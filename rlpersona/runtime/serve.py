"""An ASGI app on Ray Serve: replicas, autoscaling, a front door; it knows nothing of what is served."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rlpersona.errors import ServeError
from rlpersona.runtime.ingress import front_door
from rlpersona.runtime.session import ray_session

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]


class AsgiApp(Protocol):
    """An ASGI app that can say whether it is alive, and be closed."""

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Answer one request."""
        ...

    def alive(self) -> bool:
        """Whether it can still answer."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True)
class Shape:
    """How an app is deployed: how many replicas of what size, and what one of them bears.

    `in_flight` requests of a replica are what autoscaling aims at, from `replicas` up to
    `max_replicas`; beyond `in_flight + queue` a replica refuses.
    """

    replicas: int = 1
    max_replicas: int = 1
    in_flight: int = 64
    queue: int = 256
    cpus: float = 1
    gpus: float = 0


def deployed(build: Callable[[], AsgiApp], name: str, shape: Shape) -> Any:
    """A Serve application of replicas that each hold what `build` returns."""
    from ray import serve

    class Replica:
        def __init__(self) -> None:
            close_side_door()
            self._app = build()

        def __serve_build_asgi_app__(self) -> AsgiApp:
            return self._app

        async def check_health(self) -> None:
            if not self._app.alive():
                raise RuntimeError("the app of this replica is dead")

        async def __del__(self) -> None:
            await self._app.close()

    scaling: dict[str, Any] = {"num_replicas": shape.replicas}
    if shape.max_replicas > shape.replicas:
        scaling = {
            "autoscaling_config": {
                "min_replicas": shape.replicas,
                "max_replicas": shape.max_replicas,
                "target_ongoing_requests": max(1.0, 0.7 * shape.in_flight),
                "upscale_delay_s": 5.0,
                "downscale_delay_s": 60.0,
            }
        }
    made = serve.deployment(
        name=name,
        # The app bounds its own queue and says so in its own words; Serve's bound lies well above.
        max_ongoing_requests=shape.in_flight + shape.queue + 128,
        max_constructor_retry_count=2,
        health_check_period_s=2.0,
        health_check_timeout_s=20.0,
        graceful_shutdown_timeout_s=5.0,
        graceful_shutdown_wait_loop_s=0.2,
        ray_actor_options={"num_cpus": shape.cpus, "num_gpus": shape.gpus},
        **scaling,
    )(serve.ingress()(Replica))
    return made.bind()


@contextmanager
def serving(
    build: Callable[[], AsgiApp],
    shape: Shape,
    *,
    name: str,
    host: str,
    port: int,
    connections: int = 1024,
    idle: float = 15.0,
) -> Iterator[None]:
    """The app at `http://host:port` for the length of the block, over a Ray that is joined or started.

    Raises:
        ServeError: the address is taken, another service runs on the cluster, or no replica came up.
    """
    refuse_taken(host, port)
    with (
        tempfile.TemporaryDirectory(prefix="rlps-") as folder,
        # Ray's processes inherit it; a cluster that is joined has what it was started with.
        environment(front_door(Path(folder), connections, idle)),
        ExitStack() as ending,
        ray_session(),
    ):
        from ray import serve
        from ray.serve.schema import LoggingConfig

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        refuse_second()
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": host, "port": port, "keep_alive_timeout_s": max(1, round(idle))},
            logging_config=LoggingConfig(enable_access_log=False),
        )
        try:
            run(deployed(build, name, shape), name)
            yield
        finally:
            # Ray tells the terminal that Serve's controller, which ends itself, has died.
            ending.enter_context(redirect_stdout(ending.enter_context(open(os.devnull, "w"))))
            with suppress(Exception):  # Ray may be gone already
                serve.delete(name)
                serve.shutdown()


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables that are set for the length of the block, unless the user has set them."""
    mine = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    finally:
        for name in mine:
            os.environ.pop(name, None)


def serve_app(
    build: Callable[[], AsgiApp],
    shape: Shape,
    ready: Callable[[], None],
    **place: Any,
) -> None:
    """Serve until Ctrl-C or SIGTERM; `ready` is called once, `place` is what `serving` takes."""
    import signal

    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        with suppress(KeyboardInterrupt), serving(build, shape, **place):
            signal.signal(signal.SIGTERM, lambda *_: stop.set())  # Ray's own would abort
            ready()
            while not stop.wait(0.5):
                pass
    finally:
        signal.signal(signal.SIGTERM, before)


def close_side_door() -> None:
    """Keep the gRPC server that each replica opens for calls between deployments to this machine.

    Ray 2.60 binds it to all interfaces, and it unpickles what anybody sends. Nothing here calls through
    it: proxies reach replicas through HTTP or Ray's own, authenticated calls.
    """
    from ray.serve._private import replica

    bind = replica.add_port_to_grpc_server
    replica.add_port_to_grpc_server = lambda server, _: bind(server, "127.0.0.1:0")


def refuse_taken(host: str, port: int) -> None:
    """ServeError if nothing can listen at the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServeError(
                f"nothing can listen at {host}:{port}: {error.strerror}", "Take another: port=8001"
            ) from error


def refuse_second() -> None:
    """ServeError where the cluster serves something: it would keep its address, and end with ours."""
    from ray import serve

    status = serve.status()
    if status.proxies or status.applications:
        what = ", ".join(map(str, status.applications)) or "nothing yet"
        raise ServeError(
            f"Ray Serve runs on this cluster already (with {what}).",
            "End it first: serve shutdown",
        )


def run(application: Any, name: str, route: str = "/") -> None:
    """Deploy and wait until it answers; ServeError with the replica's own words if it does not."""
    from ray import serve

    try:
        serve.run(application, name=name, route_prefix=route)
    except (RuntimeError, TimeoutError) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        status = serve.status().applications.get(name)
        told = status.deployments[name].message if status and name in status.deployments else ""
        reason = [line for line in told.splitlines() if line.strip()] or lines or [repr(error)]
        raise ServeError(
            f"the service did not come up: {reason[-1].strip()}", "The logs of Ray Serve say more."
        ) from error
