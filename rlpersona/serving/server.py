"""From a config to the app of one replica: catalog, engine, pages, and the guard around them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rlpersona.config import ServeConfig
from rlpersona.errors import ConfigError, PersonaError
from rlpersona.models.locate import locate, portable
from rlpersona.serving.app import Service
from rlpersona.serving.asgi import Receive, Scope, Send
from rlpersona.serving.catalog import Catalog, shared_base
from rlpersona.serving.engine import load_engine
from rlpersona.serving.feedback import FeedbackBook
from rlpersona.serving.guard import Guard
from rlpersona.serving.limits import Limits, service_token
from rlpersona.serving.names import BANDIT
from rlpersona.serving.places import Places
from rlpersona.serving.playground import pages
from rlpersona.storage import local_root, uri_of

NAME = "rlpersona"  # of the application on Ray Serve


@dataclass(frozen=True)
class App:
    """The guarded service of one replica, and the hold on it that whoever runs it needs."""

    guard: Guard
    service: Service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.guard(scope, receive, send)

    def alive(self) -> bool:
        """Whether the engine can still answer."""
        return self.service.alive()

    async def close(self) -> None:
        """Stop the engine, and let go of files."""
        await self.service.close()


def settled(config: ServeConfig, root: Path) -> tuple[ServeConfig, list[str]]:
    """The config with its base named and its engine there, and the model names that it serves.

    Looks through runs, base and token without loading anything, so that a mistake is told at once.

    Raises:
        PersonaError: what `Catalog`, `locate` and `service_token` raise.
    """
    if not config.runs and not config.model.name:
        raise ConfigError("Nothing to serve.", "Name runs (see rlpersona runs), or a base: model=nano")
    changes: dict[str, Any] = {"name": config.model.name or shared_base(root, config.runs)}
    if config.model.engine == "vllm" and find_spec("vllm") is None:
        changes["engine"] = "hf"
    model = config.model.model_copy(update=changes)
    locate(model.name)
    catalog = Catalog(root, config.runs, model)
    try:
        names = catalog.names()
    finally:
        catalog.close()
    service_token(config, make=True)
    file = str(Path(config.token_file).expanduser().absolute()) if config.token_file else ""
    model = model.model_copy(update={"name": portable(model.name)})
    return config.model_copy(update={"model": model, "token_file": file}), names


def build_app(config: ServeConfig, runs: str | Path) -> App:
    """The app of one replica of a settled config, over a folder or URI of runs; loads the model.

    Raises:
        PersonaError: as `settled`; ModelError where the model cannot be opened.
    """
    root = local_root(runs)
    catalog = Catalog(root, config.runs, config.model)
    engine = load_engine(config.model, _adapters(catalog), config.in_flight)
    service = Service(
        engine,
        catalog,
        FeedbackBook(root, list(catalog.policies)) if catalog.policies else None,
        pages(root),
        places=Places(config.in_flight, config.queue),
        max_tokens=config.max_tokens,
    )
    return App(Guard(service, Limits.of(config), service_token(config)), service)


def _adapters(catalog: Catalog) -> list[str]:
    """The adapter folders behind the names that are served at the start.

    A name that cannot be served is left out: who asks for it is told why.
    """
    folders: dict[str, None] = {}
    for name in catalog.names():
        if name.startswith(BANDIT):
            continue
        with suppress(PersonaError):
            folder = catalog.resolve(name, "").adapter
            folders |= {} if folder is None else {folder: None}
    return list(folders)


def application(args: Mapping[str, Any]) -> Any:
    """A Serve application for `serve deploy`; `args` are a service's settings, and `root` the runs.

    Host and port stand in the deployment's file under `http_options`: it is they that count there. So
    that a token is asked for where it must be, `args.host` must say the same.
    """
    from functools import partial

    from rlpersona.resolve import validate
    from rlpersona.runtime.serve import deployed

    values = dict(args)
    root = local_root(str(values.pop("root", "runs"))).expanduser().absolute()
    config, _ = settled(validate(ServeConfig, values), root)
    return deployed(partial(build_app, config, uri_of(root) or root), NAME, shape_of(config))


def shape_of(config: ServeConfig) -> Any:
    """How many replicas of what size."""
    from rlpersona.runtime.serve import Shape

    return Shape(
        config.replicas,
        config.max_replicas,
        config.in_flight,
        config.queue,
        config.model.cpus_per_replica,
        config.model.gpus_per_replica,
    )
