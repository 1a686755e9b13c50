"""`rlpersona serve`: runs as models behind an OpenAI-compatible address."""

from __future__ import annotations

import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rlpersona.commands.common import CONFIG_FILES, print_config, runs_option

if TYPE_CHECKING:
    from rlpersona.config import ServeConfig

SHOWN = 12  # model names on the screen


@click.command()
@click.argument("what", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the resolved config and stop.")
@runs_option
def serve(what: tuple[str, ...], dry_run: bool, root: Path) -> None:
    """Answer as trained personas: an OpenAI-compatible service on this machine.

    WHAT is any number of runs that share a base model, YAML or JSON files, key=value:

    \b
      rlpersona serve my-run                          # a GRPO, DPO or sweep run, on 127.0.0.1:8000
      rlpersona serve quickstart my-run port=8080     # a bandit's policy beside it
      rlpersona serve model=nano model.engine=hf      # only the base, and persona:NAME

    Model names are runs (`my-run@40` at a step), `persona:Marie Curie`, `bandit:RUN`, `base`.
    """
    config = serve_config(what)
    if dry_run:
        print_config(config)
        return
    from rlpersona.serving.server import NAME, build_app, settled, shape_of
    from rlpersona.storage import uri_of

    root = root.absolute()
    config, names = settled(config, root)
    from rlpersona.runtime.serve import refuse_taken, serve_app

    refuse_taken(config.host, config.port)
    click.echo(f"Starting {config.model.name} on {config.model.engine} ...", err=True)
    serve_app(
        partial(build_app, config, uri_of(root) or root),  # a replica elsewhere has a copy of its own
        shape_of(config),
        lambda: click.echo(screen(config, names)),
        name=NAME,
        host=config.host,
        port=config.port,
        connections=config.max_connections,
        idle=config.idle_timeout,
    )


def serve_config(what: tuple[str, ...]) -> ServeConfig:
    """The config that the words mean: words with `=` are settings, files are read, others are runs."""
    from rlpersona.config import ServeConfig
    from rlpersona.resolve import resolve

    settings = [word for word in what if "=" in word]
    files = [Path(w) for w in what if "=" not in w and Path(w).suffix.lower() in CONFIG_FILES]
    runs = [w for w in what if "=" not in w and Path(w).suffix.lower() not in CONFIG_FILES]
    config = resolve(ServeConfig(), files, settings, os.environ)
    if not runs:
        return config
    return config.model_copy(update={"runs": tuple(dict.fromkeys([*config.runs, *runs]))})


def screen(config: ServeConfig, names: list[str]) -> str:
    """Address, model names and a line to paste."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    address = f"http://{host}:{config.port}"
    file = shlex.quote(config.token_file)
    key = f' -H "authorization: Bearer $(cat {file})"' if config.token_file else ""
    body = f'{{"model": "{names[-1]}", "messages": [{{"role": "user", "content": "Who are you?"}}]}}'
    more = [f"... {len(names) - SHOWN} more: {address}/v1/models"] if len(names) > SHOWN else []
    return "\n".join(
        [
            f"Serving {config.model.name} at {address} (page) and {address}/v1 (OpenAI API)",
            "",
            "  models:  " + "\n           ".join([*names[:SHOWN], *more, "persona:ANY NAME"]),
            "",
            f"curl {address}/v1/chat/completions -H 'content-type: application/json'{key} -d '{body}'",
            "",
            "Ctrl-C ends it.",
        ]
    )
