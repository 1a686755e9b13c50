"""`rlpersona submit`, `resume`, `logs`, `stop`: the commands of a laptop as jobs of a cluster."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
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
    refuse_words,
    rehearsed,
)
from rlpersona.commands.variables import refuse_keys, variables
from rlpersona.errors import ConfigError
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


def job_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `submit` and `resume` let a job be started with."""
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
        command = option(command)
    return command


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
    env: tuple[str, ...],
    env_file: Path | None,
    python: str,
    **how: Any,
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
    refuse_id(how["job"])
    given = variables(env, env_file, os.environ)
    whole_program = context.find_root().command
    if "--dry-run" in words:
        whole_program.main(list(words), standalone_mode=False)
        return
    config = rehearsed(whole_program, words, root)
    from rlpersona.runtime.jobs import Cluster

    begin(Order(words, config, whole(root), given, python), Cluster(address), **how)


@click.command()
@click.argument("name")
@address_option
@job_options
@runs_option
@click.pass_context
def resume(
    context: click.Context,
    /,
    name: str,
    address: str | None,
    root: Path,
    env: tuple[str, ...],
    env_file: Path | None,
    python: str,
    **how: Any,
) -> None:
    """Go on with a run as it was configured: here, or with --address as a job of a cluster."""
    from rlpersona import store

    seen = name in store.names(root)
    if address is None:
        run = store.find(root, name)
        words = words_for(experiment_of(run), name)
        context.find_root().command.main([*words, "--runs", str(root)], standalone_mode=False)
        return
    from rlpersona.runtime.jobs import Cluster

    cluster = Cluster(address)
    refuse_id(how["job"])
    if seen:
        experiment, runs, before = experiment_of(store.find(root, name)), whole(root), ""
    else:
        about = cluster.find(name).about
        experiment, runs = about.get("experiment", ""), about.get("runs", whole(root))
        name, before = about.get("run", ""), about.get("words", "")
    words = tuple(shlex.split(before)) if experiment not in COMMANDS else ()
    words = (*words, "--resume") if words else words_for(experiment, name)
    config = {"name": name, "experiment": experiment}
    begin(Order(words, config, runs, variables(env, env_file, os.environ), python), cluster, **how)


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


def words_for(experiment: str, name: str) -> tuple[str, ...]:
    """The command that goes on with a run of an experiment."""
    if experiment not in COMMANDS:
        raise ConfigError(
            f"'{name}' holds preference pairs, and their judge is not part of a run's config.",
            f"rlpersona label ai {name} --resume --judge ...",
        )
    return (*COMMANDS[experiment], f"name={name}", "--resume")


def refuse_id(job: str | None) -> None:
    """ConfigError for what cannot be a job's id."""
    if job is not None and not JOB_ID.fullmatch(job):
        raise ConfigError(f"'{job}' cannot be the id of a job.", "Letters, digits and . _ -")


def whole(root: Path) -> str:
    """The URI that a folder stands for, or its absolute path: a job starts elsewhere."""
    return uri_of(root) or str(root.expanduser().absolute())
