"""`rlpersona submit`, `resume`, `logs`, `stop`: the commands of a laptop as jobs of a cluster."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click

from rlpersona.commands.common import runs_option
from rlpersona.commands.evaluate import experiment_of
from rlpersona.commands.submission import (
    Order,
    address_option,
    again,
    begin,
    follow,
    refuse_key_file,
    refuse_words,
    rehearsed,
)
from rlpersona.commands.variables import refuse_keys, variables
from rlpersona.errors import ConfigError
from rlpersona.resolve import read_file
from rlpersona.storage import uri_of

# The words that work on a run of each experiment; labels need their judge as well.
COMMANDS = {
    "bandit": ("bandit",),
    "temporal": ("bandit", "validate"),
    "dpo": ("dpo",),
    "grpo": ("grpo",),
    "sweep": ("sweep",),
    "axis": ("axis",),
    "drift": ("axis", "drift"),
}
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Start:
    """How `submit` and `resume` are told to start a job."""

    env: tuple[str, ...]
    env_file: Path | None
    python: str
    job: str | None
    no_wait: bool

    def variables(self) -> dict[str, str]:
        """Those of the job; ConfigError for the value of a key."""
        return variables(self.env, self.env_file, os.environ)


def job_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of `Start`, which the command is handed as `start`."""

    @wraps(command)
    def with_start(*arguments: Any, **options: Any) -> None:
        start = Start(**{one.name: options.pop(one.name) for one in fields(Start)})
        command(*arguments, start=start, **options)

    told: Callable[..., None] = with_start
    for option in (
        click.option("--no-wait", is_flag=True, help="Do not follow the job's log."),
        click.option("--id", "job", help="The job's id; made of the run's name if left out."),
        click.option("--python", default="python", show_default=True, help="Python on the cluster."),
        click.option("--env", multiple=True, metavar="NAME[=VALUE]", help="A variable for the job."),
        click.option(
            "--env-file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="Variables for the job, one NAME=VALUE a line.",
        ),
    ):
        told = option(told)
    return told


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="FAMILY WORDS...")
@address_option
@job_options
@runs_option
@click.pass_context
def submit(
    context: click.Context,
    /,
    words: tuple[str, ...],
    address: str | None,
    root: Path,
    start: Start,
) -> None:
    """Run a command as a job of a Ray cluster, follow its log, end with its exit status.

    \b
      rlpersona submit sweep nano-length name=a --address http://127.0.0.1:8265
      rlpersona submit label ai my-pairs pairs=pairs.jsonl --judge openai --judge-model MODEL \\
        --env OPENAI_API_KEY_FILE=/shared/key

    Once it runs, the job needs nothing from here: Ctrl-C leaves it running. The package's code and the
    files that WORDS name travel along, 10 MiB at most. Keys do not: name a file on the cluster that
    holds one. --runs is a folder that all machines of the cluster see.
    """
    refuse_words(words)
    refuse_keys(words, os.environ)
    refuse_id(start.job)
    given = start.variables()
    whole_program = context.find_root().command
    if "--dry-run" in words:
        whole_program.main(list(words), standalone_mode=False)
        return
    config = rehearsed(whole_program, words, root)
    refuse_key_file(config)
    from rlpersona.runtime.jobs import Cluster

    order = Order(words, config, whole(root), given, start.python)
    begin(order, Cluster(address), start.job, start.no_wait)


@click.command()
@click.argument("name")
@address_option
@job_options
@runs_option
@click.pass_context
def resume(context: click.Context, /, name: str, address: str | None, root: Path, start: Start) -> None:
    """Go on with a run as it was configured: here, or with --address as a job of a cluster."""
    from rlpersona import store

    if address is None:
        run = store.find(root, name)
        words = words_for(experiment_of(run), name)
        context.find_root().command.main([*words, "--runs", str(root)], standalone_mode=False)
        return
    from rlpersona.runtime.jobs import Cluster

    cluster = Cluster(address)
    refuse_id(start.job)
    config: Mapping[str, Any]
    if name in store.names(root):
        # All of it: files that it names must travel again.
        config = read_file(store.find(root, name).folder / store.CONFIG)
        runs, before = whole(root), ""
    else:
        about = cluster.find(name).about
        config = {"name": about.get("run", ""), "experiment": about.get("experiment", "")}
        runs, before = about.get("runs", whole(root)), about.get("words", "")
    order = Order(going_on(config, before), config, runs, start.variables(), start.python)
    begin(order, cluster, start.job, start.no_wait)


@click.command()
@click.argument("name")
@click.option("-f", "--follow", "live", is_flag=True, help="Until the job is over; end with its status.")
@address_option
def logs(name: str, live: bool, address: str | None) -> None:
    """Print the log of a job: NAME is its id, or a run, whose latest job is meant."""
    from rlpersona.runtime.jobs import Cluster

    cluster = Cluster(address)
    job = cluster.find(name)
    if live:
        follow(cluster, job.id)
    else:
        click.echo(cluster.log(job.id), nl=False)


@click.command()
@click.argument("name")
@address_option
def stop(name: str, address: str | None) -> None:
    """End a job as Ctrl-C ends a command; its run can be resumed. NAME is its id or its run."""
    from rlpersona.runtime.jobs import Cluster

    cluster = Cluster(address)
    job = cluster.find(name)
    if job.over:
        click.echo(f"job {job.id} is over: {job.status.lower()}")
        return
    job = cluster.stop(job.id)
    click.echo(f"job {job.id}: {job.status.lower()}{again(job, cluster)}")


def going_on(config: Mapping[str, Any], before: str) -> tuple[str, ...]:
    """The command that goes on with the run of a config; `before` are the words of its job, if known."""
    if config.get("experiment") in COMMANDS or not before:
        return words_for(str(config.get("experiment", "bandit")), str(config["name"]))
    words = tuple(shlex.split(before))
    # Of the others only these words take --resume; the rest do again what is not there.
    return words if words[:2] != ("label", "ai") or "--resume" in words else (*words, "--resume")


def words_for(experiment: str, name: str) -> tuple[str, ...]:
    """The command that goes on with a run of an experiment."""
    if experiment == "label":
        raise ConfigError(
            f"'{name}' holds preference pairs, and their judge is not part of a run's config.",
            f"rlpersona label ai {name} --resume --judge ...",
        )
    if experiment not in COMMANDS:
        raise ConfigError(f"How '{name or 'it'}' was begun is not known.", "Give its command again.")
    return (*COMMANDS[experiment], f"name={name}", "--resume")


def refuse_id(job: str | None) -> None:
    """ConfigError for what cannot be a job's id."""
    if job is not None and not JOB_ID.fullmatch(job):
        raise ConfigError(f"'{job}' cannot be the id of a job.", "Letters, digits and . _ -")


def whole(root: Path) -> str:
    """The URI that a folder stands for, or its absolute path: a job starts elsewhere."""
    return uri_of(root) or str(root.expanduser().absolute())
